"""How much of anything gossip holds, sends, reads and forgives, with units in the names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipLimits:
    """Bounds on gossip, each per peer unless it says otherwise.

    What is sent to a peer is bounded more tightly than what is read of one, so that who keeps
    these bounds never meets those.

    Attributes:
        peers_max: peers that are gossiped with, in all; later ones are neither heard nor told.
        topics_max: topics that are remembered of a peer, and that this node subscribes to.
        mesh_min: a topic's mesh is filled up from below this.
        mesh_want: as many peers as it is filled up, or cut down, to.
        mesh_max: no peer may join a mesh of this size, but for those that `mesh_out` is about.
        mesh_out: as many peers of a mesh this node dialled itself, if it dialled so many.
        mesh_best: of a mesh that is cut down, as many stay for their score alone.
        lazy_want: peers outside a mesh that are told what there is, at each beat.
        beat_ms: the time between two heartbeats.
        announced_after: how many beats after it came a message is announced, each time.
        back_off_ms: how long nobody joins a mesh again after one of both left it.
        refresh_beats: how often what a peer was told of topics and meshes is said again.
        opportunity_beats: how often a mesh of poor givers is offered better ones.
        cached_ms, cached_max, cached_bytes_max: messages that are handed out on demand, in all.
        unsent_max, unsent_bytes_max: own messages that wait for a first peer, in all.
        seen_ms, seen_max: ids that are known as duplicates, for so long at least, in all.
        missing_max: announced messages that are waited for, in all.
        announcers_max: how many who announced a missing message are remembered.
        patience_ms: how long a push may take after the announcement before it is asked for.
        want_ms: how long an asked peer may take.
        asked_max: messages a peer is asked for at once.
        owed_max: messages that a peer asked for and that wait until it may be sent more.
        answers_max: how often a peer is given the same message on demand.
        envelope_bytes_max: the greatest message.
        judged_at_once: messages that one call judges, over all peers; the others wait for a tick.
        judged_per_s, judged_burst: messages that are judged.
        judged_all_per_s, judged_all_burst: the same over all peers.
        waiting_max, waiting_bytes_max: messages that wait to be judged.
        sent_bytes_per_s, sent_bytes_burst: bytes of messages and ids that are sent.
        charged_bytes_min: what the smallest message is charged with.
        told_max: ids that are announced at a beat.
        heard_bytes_per_s, heard_bytes_burst: bytes of messages and ids that are read.
        ids_per_s, ids_burst: announced and wanted ids that are read.
        frames_per_s, frames_burst: frames that are read.
        frame_bytes_max: what is put into one frame, about.
        slow_bytes: so much unsent makes a peer slow: it leaves every mesh, and is only told ids.
        quick_bytes: so little makes it quick again.
        stalled_bytes: from so much unsent on it is sent nothing at all.
        ban_ms, ban_ms_max: a peer's first ban, doubled with each one; and the longest.
        remembered_max: peers that left whose standing is remembered, in all.
        notes_max: what is kept to be told to operators, in all.
    """

    peers_max: int = 256
    topics_max: int = 64
    mesh_min: int = 4
    mesh_want: int = 6
    mesh_max: int = 10
    mesh_out: int = 2
    mesh_best: int = 3
    lazy_want: int = 6
    beat_ms: int = 1_000
    announced_after: tuple[int, ...] = (1, 2, 4, 8, 16)
    back_off_ms: int = 10_000
    refresh_beats: int = 10
    opportunity_beats: int = 30
    cached_ms: int = 120_000
    cached_max: int = 8_192
    cached_bytes_max: int = 16 * 2**20
    unsent_max: int = 1_024
    unsent_bytes_max: int = 4 * 2**20
    seen_ms: int = 120_000
    seen_max: int = 32_768
    missing_max: int = 4_096
    announcers_max: int = 4
    patience_ms: int = 150
    want_ms: int = 1_500
    asked_max: int = 64
    owed_max: int = 512
    answers_max: int = 3
    envelope_bytes_max: int = 65_536
    judged_at_once: int = 64
    judged_per_s: int = 1_200
    judged_burst: int = 1_000
    judged_all_per_s: int = 2_400
    judged_all_burst: int = 4_000
    waiting_max: int = 2_048
    waiting_bytes_max: int = 4 * 2**20
    sent_bytes_per_s: int = 2**20
    sent_bytes_burst: int = 2 * 2**20
    charged_bytes_min: int = 1_024
    told_max: int = 2_048
    heard_bytes_per_s: int = 2 * 2**20
    heard_bytes_burst: int = 8 * 2**20
    ids_per_s: int = 8_192
    ids_burst: int = 16_384
    frames_per_s: int = 2_000
    frames_burst: int = 4_000
    frame_bytes_max: int = 131_072
    slow_bytes: int = 256 * 2**10
    quick_bytes: int = 64 * 2**10
    stalled_bytes: int = 2**20
    ban_ms: int = 60_000
    ban_ms_max: int = 3_600_000
    remembered_max: int = 1_024
    notes_max: int = 256

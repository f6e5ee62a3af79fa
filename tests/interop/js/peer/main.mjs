// The peer for a test: commands on stdin, one JSON object a line, {do, …}; an answer a line on
// stdout, {ok} or {no, details}. Bytes travel as base64url. Ends with its stdin.
import { createInterface } from 'node:readline'
import { fromBase64url, peek, recordId } from '../basics.mjs'
import { nodePlace } from './places.mjs'
import { Peer } from './peer.mjs'

let peer

const show = (carried) => ({ ...carried, id: recordId(carried.jws), ...peek(carried.jws).payload })

const deeds = {
  open: async (ask) => {
    peer = new Peer(ask)
    return peer.open()
  },
  state: async () => ({
    connected: peer.connected(),
    asked: peer.asked,
    broken: peer.broken,
    mesh: peer.gossip.mesh(),
    counts: peer.gossip.counts,
  }),
  dial: async ({ to }) => {
    const session = await peer.session(to)
    return { did: session.did }
  },
  drop: async ({ did }) => peer.drop(did) ?? null,
  ask: async ({ to, method, body }) => (await peer.session(to)).ask(method, body),
  find: async ({ did, known }) => {
    const target = nodePlace(did)
    const found = await peer.lookup(target, 'dht.find', { target }, known)
    return found.map(({ contact }) => contact)
  },
  note: async ({ label, text }) => peer.record('note', `${peer.did}/${label}`, { text }),
  card: async ({ card }) => peer.card(card),
  keep: async ({ carried }) => peer.shelf.take(carried).fresh,
  kept: async ({ namespace, name }) => peer.shelf.get(namespace, name).map(show),
  items: async ({ namespace }) => peer.shelf.items(namespace),
  put: async ({ carried, known }) => peer.put(carried, known),
  get: async ({ namespace, name, known }) => (await peer.get(namespace, name, known)).map(show),
  provide: async ({ bytes, known }) => peer.provide(fromBase64url(bytes), known),
  fetch: async ({ cid, known }) => {
    const { bytes, from } = await peer.fetch(cid, known)
    return { bytes: bytes.toString('base64url'), from }
  },
  brought: async ({ id }) => peer.gossip.brought(id),
  // The record is not kept here: by gossip alone others get it.
  publish: async ({ carried }) => peer.gossip.publish(carried) ?? null,
  reconcile: async ({ with: contact, namespace }) => peer.reconcile(contact, namespace),
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: deed, ...ask } = JSON.parse(line)
  let said
  try {
    said = { ok: await deeds[deed](ask) }
  } catch (failed) {
    said = { no: failed.code ?? String(failed.stack), details: failed.details ?? {} }
  }
  process.stdout.write(`${JSON.stringify(said)}\n`)
}
await peer?.close()
process.exit(0)

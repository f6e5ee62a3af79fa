// Tasks that a member asked for, or a node in a member's name under their grant (docs/protocol.md,
// Compute).
import { demand, peek, read, recordId, sha256 } from './basics.mjs'

const TASK_ID_DIGITS = 32

const taskIdOf = (grant, place) =>
  sha256(`opkit-granted-task\0${grant}\0${place}`).toString('hex').slice(0, TASK_ID_DIGITS)

function readGrant(token, network) {
  const { did } = peek(token).payload
  const grant = read(token, { typ: 'opkit-grant+jws', by: did, network })
  demand(grant.lapses_at_ms > grant.issued_at_ms, 'the grant ends before it begins')
  return grant
}

function checkCovered(manifest, grant) {
  const { place } = manifest
  demand(manifest.member_id === grant.member_id, "another member's grant")
  demand([null, undefined, manifest.wasm_hash].includes(grant.module), 'another module')
  demand(manifest.limits.fuel <= grant.fuel_max, 'more fuel than was granted')
  demand(Number.isSafeInteger(place) && place >= 1 && place <= grant.tasks_max, 'no such place')
  demand(manifest.task_id === taskIdOf(recordId(manifest.grant), place), "another place's task")
  demand(grant.issued_at_ms <= manifest.issued_at_ms, 'before it was granted')
  demand(manifest.expires_at_ms <= grant.lapses_at_ms, 'longer than was granted')
}

// Returns a manifest, and the member's key that it rests on, whoever's that is.
export function readManifest(token, { network }) {
  const { typ, kid, payload } = peek(token)
  if (typ !== 'opkit-granted-task+jws') {
    return { manifest: read(token, { typ: 'opkit-task+jws', by: kid, network }), key: kid }
  }
  const grant = readGrant(payload.grant, network)
  const manifest = read(token, { typ: 'opkit-granted-task+jws', by: grant.aud, network })
  checkCovered(manifest, grant)
  return { manifest, key: grant.did }
}

// Operations on a shared object, and what they add up to (docs/protocol.md, Operations).
import { canonical, demand, keyOf, read, recordId, sha256 } from '../basics.mjs'

const HEX = /^[0-9a-f]{64}$/
const OBJECT = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?(?:\/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)?$/
const OPERATION = 'act,aud,base,did,epoch,network,parents,previous,sequence,tick,time_ms'
const CHECKPOINT = 'aud,authors,base,did,epoch,expelled,heads,network,state,time_ms'

const fields = (value) => Object.keys(value).sort().join()
const isId = (value) => typeof value === 'string' && HEX.test(value)
const isNumber = (value) => Number.isSafeInteger(value) && value >= 0
const ordered = (list, most) =>
  Array.isArray(list) && list.length <= most && list.every((one, at) => !at || list[at - 1] < one)
const ids = (list, most) => ordered(list, most) && list.every(isId)
const byAuthor = (token, typ, network) => {
  const { did } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url'))
  return read(token, { typ, by: did, network })
}

const ACTS = {
  add: (act) => fields(act) === 'element,kind' && typeof act.element === 'string',
  remove: (act) => fields(act) === 'kind,over' && act.over.length > 0 && ids(act.over, 64),
  admit: (act) => fields(act) === 'did,kind' && keyOf(act.did),
  expel: (act) =>
    fields(act) === 'did,fork,kind' &&
    keyOf(act.did) &&
    (act.fork === null || (ids(act.fork, 2) && act.fork.length === 2)),
}

// Returns an operation on this object that the author whom it names has signed, with its id.
export function readOperation(token, { network, aud }) {
  demand(token.length <= 16_384, 'too long')
  const said = byAuthor(token, 'opkit-operation+jws', network)
  const { epoch, base, sequence, previous, parents, time_ms: time, tick, act } = said
  demand(fields(said) === OPERATION && OBJECT.test(said.aud), 'other fields')
  demand(said.aud === aud, 'another object')
  demand([epoch, sequence, time, tick].every(isNumber) && sequence > 0, 'no numbers')
  demand((base === null) === (epoch === 0) && (base === null || isId(base)), 'no such base')
  demand((previous === null) === (sequence === 1), 'no such place')
  demand(previous === null || isId(previous), 'no id')
  demand(ids(parents, 16) && !parents.includes(previous), 'parents')
  demand(ACTS[act.kind]?.(act), 'no such act')
  return { id: recordId(token), said }
}

// Returns a checkpoint of this object as one member signed it.
export function readCheckpoint(token, { network, aud }) {
  const said = byAuthor(token, 'opkit-checkpoint+jws', network)
  const { epoch, base, heads, authors, expelled, state, time_ms: time } = said
  demand(fields(said) === CHECKPOINT && said.aud === aud, 'other fields, or another object')
  demand(isNumber(epoch) && epoch > 0 && isNumber(time) && isId(state), 'no numbers')
  demand((base === null) === (epoch === 1), 'no such base')
  demand(ids(heads, 64) && ordered(authors, 256) && ordered(expelled, 256), 'not in order')
  demand(authors.length > 0 && !authors.some((did) => expelled.includes(did)), 'at once')
  demand([...authors, ...expelled].every((did) => keyOf(did)), 'no keys')
  return said
}

export function checkpointId(checkpoint) {
  const { did, ...said } = checkpoint
  return sha256('opkit checkpoint 1\n', canonical(said)).toString('hex')
}

// Folds operations on a set in its first epoch, where one voice admits and one expels: who stands,
// the snapshot, and what nothing that counts follows. They come each after what it follows.
export function foldSet(told, { network, aud, founders }) {
  const past = new Map()
  for (const { id, said } of told) {
    const cites = said.previous === null ? said.parents : [said.previous, ...said.parents]
    past.set(id, new Set(cites.flatMap((each) => [each, ...past.get(each)])))
  }
  const expulsions = told.filter(({ said }) => said.act.kind === 'expel')
  const of = (kind) => told.filter(({ said }) => said.act.kind === kind)
  const expelled = [...new Set(expulsions.map(({ said }) => said.act.did))].sort()
  const admitted = of('admit').map(({ said }) => said.act.did)
  const standing = [...new Set([...founders, ...admitted])].filter((did) => !expelled.includes(did))
  const isVoid = ({ id, said }) =>
    !['admit', 'expel'].includes(said.act.kind) &&
    expulsions.some((each) => each.said.act.did === said.did && !past.get(each.id).has(id))
  const counting = told.filter((one) => !isVoid(one))
  const removed = new Set(
    counting.flatMap(({ said }) => (said.act.kind === 'remove' ? said.act.over : [])),
  )
  const rows = [...removed].map((id) => [id])
  for (const { id, said } of counting) {
    if (said.act.kind === 'add' && !removed.has(id)) rows.push([id, said.act.element])
  }
  rows.sort((one, other) => (one[0] < other[0] ? -1 : 1))
  const cited = new Set(counting.flatMap(({ id }) => [...past.get(id)]))
  return {
    snapshot: canonical({
      aud,
      authors: standing.sort(),
      expelled,
      kind: 'or-set',
      network,
      state: rows,
    }),
    heads: counting.map(({ id }) => id).filter((id) => !cited.has(id)).sort(),
  }
}

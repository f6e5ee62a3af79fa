// Signed records: who may say what for how long, and who vouches for them (docs/protocol.md,
// Records). Refusals carry the codes that a peer is answered with.
import { createPrivateKey, createPublicKey, sign as signBytes } from 'node:crypto'
import { Refused, canonical, cidOf, didOf, peek, read, recordId } from '../basics.mjs'
import { No } from './frames.mjs'
import { isDid, isFork, readHead } from './heads.mjs'

const DAY_MS = 86_400_000
const SKEW_MS = 120_000
const TYP = 'opkit-record+jws'
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex') // RFC 8410, section 7

export function keyPair(seed) {
  const der = Buffer.concat([PKCS8, seed])
  const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const { x } = createPublicKey(secret).export({ format: 'jwk' })
  return { secret, did: didOf(Buffer.from(x, 'base64url')) }
}

const encode = (value) => Buffer.from(canonical(value)).toString('base64url')

export function sign(payload, { typ = TYP, key }) {
  const input = `${encode({ alg: 'Ed25519', kid: key.did, typ })}.${encode(payload)}`
  return `${input}.${signBytes(null, Buffer.from(input), key.secret).toString('base64url')}`
}

const isCid = (text) => /^bafkrei[a-z2-7]{52}$/.test(text) && text.length === cidOf('').length
const isText = (value, most) =>
  typeof value === 'string' && [...value].length <= most && !value.includes('\0')
const only = (value, ...names) => Object.keys(value).every((name) => names.includes(name))
const isCount = (value) => Number.isSafeInteger(value) && value >= 0
const isList = (value) =>
  Array.isArray(value) && value.length <= 8 && value.every((one) => one && isText(one, 256))

export const RULES = {
  node: {
    term: DAY_MS,
    characters: 2_048,
    mayWrite: (owner, name) => name === owner,
    takes: (value) => only(value, 'addresses') && isList(value.addresses ?? []),
    reconciled: true,
  },
  blob: {
    term: DAY_MS,
    characters: 2_048,
    mayWrite: (_, name) => isCid(name),
    takes: (value) =>
      only(value, 'addresses', 'size_bytes') &&
      isList(value.addresses ?? []) &&
      isCount(value.size_bytes ?? 0),
  },
  note: {
    term: 30 * DAY_MS,
    characters: 8_192,
    mayWrite: (owner, name) => name.startsWith(`${owner}/`) && name.length > owner.length + 1,
    takes: (value) => only(value, 'text') && isText(value.text, 4_096),
    reconciled: true,
  },
  head: {
    term: 7 * DAY_MS,
    characters: 2_048,
    mayWrite: (owner, name) => name !== owner && isDid(name),
    takes: (value, by) => only(value, 'head') && readHead(value.head, by).size >= 0,
    reconciled: true,
  },
  fork: {
    term: 30 * DAY_MS,
    characters: 8_192,
    mayWrite: (_, name) => isDid(name),
    takes: (value, by) => only(value, 'first', 'second', 'root', 'path') && isFork(value, by),
    reconciled: true,
  },
}

const FIELDS = 'aud,issued_at_ms,lapses_at_ms,name,network,owner,sequence,value'

export const rejected = (why) => new No('signed-record-rejected', { why })

// What of a record can be judged by its reader, whatever the reader knows.
export function judge(token, { network, now }) {
  let said
  try {
    const { owner } = peek(token).payload
    said = read(token, { typ: TYP, by: owner, network })
  } catch (bad) {
    throw bad instanceof Refused || bad instanceof SyntaxError ? rejected(bad.message) : bad
  }
  const demand = (holds, why) => {
    if (!holds) throw rejected(why)
  }
  demand(Object.keys(said).sort().join() === FIELDS, 'other fields than a record has')
  const rules = RULES[said.aud]
  demand(rules, 'no such namespace')
  const { owner, name, value, sequence, issued_at_ms: issued, lapses_at_ms: lapses } = said
  demand(token.length <= rules.characters, 'too long')
  demand(isText(name, 256) && name, 'no name')
  demand([sequence, issued, lapses].every(isCount) && sequence > 0, 'no numbers')
  demand(sequence <= issued && issued < lapses, 'its numbers contradict each other')
  demand(lapses - issued <= rules.term, 'it lasts too long')
  demand(value !== null || lapses - issued === rules.term, 'a tombstone that ends too soon')
  demand(value === null || fits(rules, value, { node: name, network }), 'no such value')
  demand(issued <= now + SKEW_MS, 'from the future')
  if (!rules.mayWrite(owner, name)) throw new No('record-not-owners', { name }, 403)
  if (lapses <= now) throw new No('record-lapsed', { lapsed_at_ms: lapses }, 410)
  return { ...said, id: recordId(token) }
}

function fits(rules, value, by) {
  try {
    return typeof value === 'object' && rules.takes(value, by)
  } catch (bad) {
    if (bad instanceof Refused || bad instanceof SyntaxError) return false
    throw bad
  }
}

// Who vouches for a key: null if nobody does.
export function sponsorOf(owner, proof, genesis) {
  const node = genesis.nodes.find((one) => one.did === owner)
  if (node) return node.coop ?? node.org
  if (owner === genesis.operator) return '-'
  const founder = genesis.founders.find((one) => one.did === owner)
  if (founder) return founder.member_id.split('/')[0]
  try {
    return memberSponsor(owner, proof, genesis)
  } catch (bad) {
    if (bad instanceof Refused) return null
    throw bad
  }
}

function memberSponsor(owner, proof, genesis) {
  const of = proof.length ? peek(proof[0]).payload.member_id : undefined
  const founder = genesis.founders.find((one) => one.member_id === of)
  let standing = founder && { ...founder, action: 'add' }
  let sequence = 0
  for (const token of proof) {
    const by = { typ: 'opkit-member+jws', by: genesis.operator, network: genesis.network }
    const record = read(token, by)
    const coop = record.member_id.split('/')[0]
    const follows = record.sequence === sequence + 1 && record.member_id === of
    const known = coop === '-' || genesis.coops.has(coop)
    const active = standing?.action === 'add' && standing.did === record.did
    if (!follows || !known || record.aud !== coop) return null
    if (record.action === 'revoke' && !active) return null
    sequence = record.sequence
    standing = record
  }
  const active = standing?.action === 'add' && standing.did === owner
  return active ? standing.member_id.split('/')[0] : null
}

// Whether the first of two records of one owner and name stands before the second.
export const outranks = (one, other) =>
  one.sequence > other.sequence || (one.sequence === other.sequence && one.id < other.id)

// Signed records: who may say what for how long, and who vouches for them (docs/protocol.md,
// Records). Refusals carry the codes that a peer is answered with.
import { createPrivateKey, createPublicKey, sign as signBytes } from 'node:crypto'
import { Refused, canonical, cidOf, didOf, peek, read, recordId } from '../basics.mjs'
import { isCarded } from './cards.mjs'
import { No } from './frames.mjs'
import { isDid, isFork, readHead } from './heads.mjs'
import { coopOf, foldMember } from './members.mjs'
import { NAME_TERM_MS, coopOfName, isNamed } from './names.mjs'

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
const isHash = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

// Where a node's front door may be: on the machine itself, or behind TLS with a key that is named.
function isDoor({ url, tls_key_hash: key = null, ...more }) {
  if (typeof url !== 'string' || !/^https?:\/\/[^/?#@\\\s\0]+$/.test(url)) return false
  if (Object.keys(more).length || !URL.canParse(url)) return false
  const { protocol, hostname } = new URL(url)
  return protocol === 'https:' ? isHash(key) : key === null && LOOPBACK.test(hostname)
}

const isDoors = (value) => Array.isArray(value) && value.length <= 4 && value.every(isDoor)

// A link of a member's chain: the operator signed it, and it is the one of the name.
function isLink(value, { node: name, genesis }) {
  const by = { typ: 'opkit-member+jws', by: genesis.operator, network: genesis.network }
  const link = only(value, 'record') && read(value.record, by)
  const coop = link && link.member_id.split('/')[0]
  const known = coop === '-' || genesis.coops.has(coop)
  return known && link.aud === coop && name === `${link.member_id}/${link.sequence}`
}

export const RULES = {
  node: {
    term: DAY_MS,
    characters: 2_048,
    mayWrite: (owner, name) => name === owner,
    takes: (value) =>
      only(value, 'addresses', 'endpoints') &&
      isList(value.addresses ?? []) &&
      isDoors(value.endpoints ?? []),
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
  member: {
    term: 30 * DAY_MS,
    characters: 8_192,
    mayWrite: (owner, _, { nodes }) => nodes.some((one) => one.did === owner),
    takes: isLink,
    reconciled: true,
  },
  standing: {
    term: 600_000,
    characters: 2_048,
    mayWrite: (owner, name, { homes }) => homes.get(name) === owner,
    takes: (value) =>
      only(value, 'members', 'digest') && isCount(value.members) && isHash(value.digest),
    reconciled: true,
  },
  name: {
    term: NAME_TERM_MS,
    characters: 8_192,
    mayWrite: (owner, name, { homes }) => homes.get(coopOfName(name)) === owner,
    takes: isNamed,
    reconciled: true,
    withoutTombstones: true, // A name is given back by its holder's signed word.
  },
  card: {
    term: 7 * DAY_MS,
    characters: 16_384,
    mayWrite: (owner, name) => name === owner,
    takes: isCarded,
  },
}

const FIELDS = 'aud,issued_at_ms,lapses_at_ms,name,network,owner,sequence,value'

export const rejected = (why) => new No('signed-record-rejected', { why })

// What of a record can be judged by its reader, whatever the reader knows.
export function judge(token, { genesis, now }) {
  const { network } = genesis
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
  demand(value !== null || !rules.withoutTombstones, 'there are no tombstones')
  const by = { node: name, network, genesis, said }
  demand(value === null || fits(rules, value, by), 'no such value')
  demand(issued <= now + SKEW_MS, 'from the future')
  if (!rules.mayWrite(owner, name, genesis)) throw new No('record-not-owners', { name }, 403)
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
  if (!proof.length) return null
  const { member_id: of } = peek(proof[0]).payload
  const member = foldMember(of, proof, genesis)
  return member?.active && member.did === owner ? coopOf(of) : null
}

// Whether the first of two records of one owner and name stands before the second.
export const outranks = (one, other) =>
  one.sequence > other.sequence || (one.sequence === other.sequence && one.id < other.id)

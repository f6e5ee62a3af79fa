// Names under a coop: a member's claim, which the coop's home node countersigns (docs/protocol.md,
// Names).
import { demand, keyOf, peek, read } from '../basics.mjs'
import { coopOf, foldMember } from './members.mjs'

export const NAME_TERM_MS = 30 * 86_400_000
const TYP = 'opkit-name+jws'
const CLAIM_CHARACTERS_MAX = 3_072
const CHAIN_MAX = 8
const FREED_MAX = 4
const SLUG = '[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?'
const NAME = new RegExp(`^${SLUG}\\.${SLUG}$`)
const WORD = new RegExp(`^${SLUG}$`)
const PATH = /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/
const FIELDS =
  'aud,did,issued_at_ms,lapses_at_ms,member_id,name,network,sequence,target'

const isWord = (value) => typeof value === 'string' && WORD.test(value)
const isName = (value) => typeof value === 'string' && NAME.test(value)
const isNumber = (value) => Number.isSafeInteger(value) && value >= 0
const fields = (value) => Object.keys(value).sort().join()
const atMost = (value, most, each) =>
  Array.isArray(value) && value.length <= most && value.every(each)

export const coopOfName = (name) => name.split('.').at(-1)

const isEndpoint = (value) =>
  fields(value) === 'path,protocol' &&
  isWord(value.protocol) &&
  typeof value.path === 'string' &&
  value.path.length <= 256 &&
  PATH.test(value.path)

const SERVICE = ['capabilities', 'endpoints', 'kind', 'node', 'region', 'type']

const TARGETS = {
  service: ({ type, node, endpoints = [], capabilities = [], region = null, ...more }) =>
    isWord(type) &&
    keyOf(node) &&
    atMost(endpoints, 8, isEndpoint) &&
    atMost(capabilities, 16, isWord) &&
    (region === null || isWord(region)) &&
    Object.keys(more).every((name) => SERVICE.includes(name)),
  node: (target) => fields(target) === 'kind,node' && keyOf(target.node),
  alias: (target) => fields(target) === 'kind,name' && isName(target.name),
}

// Returns a claim that the key signed which it names, whoever that is.
export function readClaim(token, { network }) {
  demand(typeof token === 'string' && token.length <= CLAIM_CHARACTERS_MAX, 'no claim')
  const { did } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url'))
  const claim = read(token, { typ: TYP, by: did, network })
  const { sequence, issued_at_ms: issued, lapses_at_ms: lapses, target } = claim
  demand(fields(claim) === FIELDS && isName(claim.name), 'other fields than a claim has')
  demand(claim.aud === coopOfName(claim.name), 'for another coop')
  demand([sequence, issued, lapses].every(isNumber) && sequence > 0, 'no numbers')
  demand(sequence <= issued && issued < lapses, 'its numbers contradict each other')
  demand(target === null || TARGETS[target.kind]?.(target), 'no such target')
  demand(target?.name !== claim.name, 'an alias for itself')
  return claim
}

// Returns the member who claims, as the chain leaves them.
function claimant(claim, chain, genesis) {
  demand(atMost(chain, CHAIN_MAX, (one) => one.length <= CLAIM_CHARACTERS_MAX), 'no chain')
  demand(coopOf(claim.member_id) === claim.aud, 'no member of the coop')
  const member = foldMember(claim.member_id, chain, genesis)
  demand(member?.did === claim.did, 'the key of another')
  return member
}

// Who held the name before, and how that ended before its time.
function endOf({ claim: token, member = [], ...more }, name, genesis) {
  demand(Object.keys(more).length === 0, 'more than an end says')
  const claim = readClaim(token, genesis)
  const member_ = claimant(claim, member, genesis)
  demand(claim.name === name, 'about another name')
  demand(claim.target === null || !member_.active, 'it did not end')
  return claim.member_id
}

// Whether a record of the namespace `name` says what it may.
export function isNamed(value, { genesis, said }) {
  const { claim: token, member = [], freed = [], ...more } = value
  demand(Object.keys(more).length === 0, 'more than a name says')
  const claim = readClaim(token, genesis)
  demand(claim.name === said.name, 'about another name')
  const { active } = claimant(claim, member, genesis)
  const gone = claim.target === null || !active
  const lapses = gone ? said.issued_at_ms + NAME_TERM_MS : claim.lapses_at_ms
  demand(said.lapses_at_ms === lapses, 'it lapses at another time')
  demand(Array.isArray(freed) && freed.length <= FREED_MAX, 'too many ends')
  const holders = [claim.member_id, ...freed.map((one) => endOf(one, said.name, genesis))]
  return new Set(holders).size === holders.length
}

// What a record of a name that was judged says, as whoever asked for it is answered.
export function heldBy(record) {
  const { owner: home, value, ...said } = peek(record).payload
  const claim = peek(value.claim).payload
  const { name, sequence, issued_at_ms, lapses_at_ms } = said
  const { member_id, did, target, sequence: claim_sequence } = claim
  const times = { sequence, claim_sequence, issued_at_ms, lapses_at_ms }
  return { name, member_id, did, target, ...times, home, record }
}

// Reads a record of a name from its genesis alone, as a report shows it.
export function readName(record, genesis) {
  const { owner } = peek(record).payload
  const said = read(record, { typ: 'opkit-record+jws', by: owner, network: genesis.network })
  demand(said.aud === 'name' && genesis.homes.get(coopOfName(said.name)) === owner, 'no home')
  demand(said.value !== null && isNamed(said.value, { genesis, said }), 'it does not hold')
  return heldBy(record)
}

// Who a member is by genesis and the records of their chain (docs/protocol.md, Membership records).
import { demand, keyOf, peek, read } from '../basics.mjs'

const DECIDED = 'opkit-decided-member+jws'

export const coopOf = (memberId) => memberId.split('/')[0]

function founding(memberId, genesis) {
  if (memberId === '-/operator') return { did: genesis.operator, active: true, roles: ['operator'] }
  const founder = genesis.founders.find((one) => one.member_id === memberId)
  return founder && { did: founder.did, active: true, roles: founder.roles }
}

// A link is the operator's, or, once the coop decides, its home node's; none of the operator's
// follows a decided one.
function linkOf(token, coop, genesis, decided) {
  const { network, operator, homes } = genesis
  if (peek(token).typ !== DECIDED) {
    demand(!decided, "the operator's word after a decision")
    return read(token, { typ: 'opkit-member+jws', by: operator, network })
  }
  const record = read(token, { typ: DECIDED, by: homes.get(coop), network })
  demand(record.node === homes.get(coop), 'a node that is not the home')
  return record
}

// Returns every state of a member's chain, oldest first; none if they were never known.
function statesOf(memberId, chain, genesis) {
  const coop = coopOf(memberId)
  let standing = founding(memberId, genesis)
  const states = standing ? [standing] : []
  for (const [at, token] of chain.entries()) {
    const record = linkOf(token, coop, genesis, states.decided)
    demand(record.member_id === memberId && record.aud === coop, 'a record of another member')
    demand(coop === '-' || genesis.coops.has(coop), 'a coop without a charter')
    demand(record.sequence === at + 1, 'a record is missing')
    keyOf(record.did)
    const revokes = record.action === 'revoke'
    demand(!revokes || (standing?.active && standing.did === record.did), 'a false revocation')
    const roles = revokes ? standing.roles : record.roles
    standing = { did: record.did, active: !revokes, roles }
    states.push(standing)
    states.decided = 'decision' in record
  }
  return states
}

// Returns every state of a member, for whoever asks how they stood at some time.
export const historyOf = (...asked) => statesOf(...asked)

// Returns the member as a whole chain leaves them, or undefined if they were never known.
export const foldMember = (...asked) => statesOf(...asked).at(-1)

// Returns every key that a member held.
export const keysOf = (...asked) => statesOf(...asked).map((state) => state.did)

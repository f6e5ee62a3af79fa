// Who a member is by genesis and the operator's records (docs/protocol.md, Membership records).
import { demand, keyOf, read } from '../basics.mjs'

export const coopOf = (memberId) => memberId.split('/')[0]

function founding(memberId, genesis) {
  if (memberId === '-/operator') return { did: genesis.operator, active: true }
  const founder = genesis.founders.find((one) => one.member_id === memberId)
  return founder && { did: founder.did, active: true }
}

// Returns every state of a member's chain, oldest first; none if they were never known.
function statesOf(memberId, chain, genesis) {
  const coop = coopOf(memberId)
  let standing = founding(memberId, genesis)
  const states = standing ? [standing] : []
  for (const [at, token] of chain.entries()) {
    const by = { typ: 'opkit-member+jws', by: genesis.operator, network: genesis.network }
    const record = read(token, by)
    demand(record.member_id === memberId && record.aud === coop, 'a record of another member')
    demand(coop === '-' || genesis.coops.has(coop), 'a coop without a charter')
    demand(record.sequence === at + 1, 'a record is missing')
    keyOf(record.did)
    const revokes = record.action === 'revoke'
    demand(!revokes || (standing?.active && standing.did === record.did), 'a false revocation')
    standing = { did: record.did, active: !revokes }
    states.push(standing)
  }
  return states
}

// Returns the member as a whole chain leaves them, or undefined if they were never known.
export const foldMember = (...asked) => statesOf(...asked).at(-1)

// Returns every key that a member held.
export const keysOf = (...asked) => statesOf(...asked).map((state) => state.did)

// Decisions, counted again from their file and the genesis alone (docs/protocol.md, Decisions).
import { canonical, demand, peek, read, recordId, sha256 } from '../basics.mjs'
import { coopOf, historyOf } from './members.mjs'
import { root } from '../merkle.mjs'

const VOTING = new Set(['member', 'officer', 'operator'])
const TREASURY = new Set(['spend', 'distribution'])
const EXECUTE_WITHIN_MS = 90 * 86_400_000
const NONE = '0'.repeat(64)
const byName = (one, other) => (one < other ? -1 : Number(one > other))
const hashOf = (lines) => sha256(lines.map((line) => `${line}\n`).join('')).toString('hex')
const same = (one, other) => canonical(one) === canonical(other)

// A check that fails is told by its name, as every reader calls it.
function hold(name, holds) {
  demand(holds, name)
}

function inOrder(name, ids) {
  hold(name, ids.every((id, at) => at === 0 || ids[at - 1] < id))
}

function trying(name, ask) {
  try {
    return ask()
  } catch (bad) {
    hold(name, false)
    throw bad
  }
}

// Reads what a member signed, with the key that it names.
function signedBy(token, typ, network) {
  const said = read(token, { typ, by: peek(token).payload.did, network })
  demand(coopOf(said.member_id) === said.aud, 'another assembly')
  return said
}

// Splits a surplus by weights: whole parts, then one each to the largest remainders.
function split(surplus, lines) {
  const whole = lines.reduce((sum, line) => sum + BigInt(line.weight), 0n)
  demand(whole > 0n, 'nobody has a weight')
  const parts = lines.map(({ account, weight }) => {
    const exact = BigInt(surplus) * BigInt(weight)
    return { account, amount: exact / whole, rest: exact % whole }
  })
  let left = BigInt(surplus) - parts.reduce((sum, part) => sum + part.amount, 0n)
  const ranked = [...parts].sort(
    (one, other) => Number(other.rest - one.rest) || byName(one.account, other.account),
  )
  for (const part of ranked) if (left-- > 0n) part.amount += 1n
  return new Map(parts.map(({ account, amount }) => [account, Number(amount)]))
}

function effectHolds({ effect, aud }) {
  if (effect.kind !== 'distribution') return true
  const accounts = effect.lines.map((line) => line.account)
  const parts = split(effect.surplus, effect.lines)
  return (
    accounts.every((account, at) => at === 0 || accounts[at - 1] < account) &&
    [effect.from_account, ...accounts].every((account) => account.split(':')[0] === aud) &&
    effect.lines.every((line) => line.amount === parts.get(line.account))
  )
}

// Returns the electors with the keys of the opening and since, and the electorate's hash.
function electorate(file, proposal, genesis) {
  const lines = [proposal.aud]
  const keys = new Map()
  for (const { member_id: id, records = [], later = [] } of file.electors) {
    const states = historyOf(id, [...records, ...later], genesis)
    const then = states[states.length - 1 - later.length]
    demand(then?.active && coopOf(id) === proposal.aud, 'no member')
    demand(then.roles.some((role) => VOTING.has(role)), 'nobody who votes')
    const last = records.length ? recordId(records.at(-1)) : '-'
    lines.push(`${id} ${then.did} ${records.length} ${last}`)
    keys.set(id, states.slice(states.length - 1 - later.length).map((state) => state.did))
  }
  return { keys, hash: hashOf([lines[0], ...lines.slice(1).sort()]) }
}

// Each elector's own ballot, or that of whom they delegated to.
function tallyOf(electors, choices, delegates) {
  const tally = { electorate: electors.length, cast: 0, yes: 0, no: 0, abstain: 0, delegated: 0 }
  const may = new Set(electors)
  for (const elector of electors) {
    let at = elector
    for (let step = 0; step <= electors.length && may.has(at) && !choices.has(at); step += 1) {
      at = delegates.get(at)
    }
    if (!may.has(at) || !choices.has(at)) continue
    tally.cast += 1
    tally.delegated += Number(at !== elector)
    tally[choices.get(at)] += 1
  }
  return tally
}

function outcomeOf({ electorate: all, cast, yes, no }, rule) {
  if (cast * 100 < rule.quorum_percent * all) return 'no-quorum'
  const approved = yes > 0 && yes * 100 >= rule.approval_percent * (yes + no)
  return approved ? 'accepted' : 'rejected'
}

function agreement(file, said, proposal) {
  hold('proposal-cited', recordId(file.proposal) === said.proposal)
  hold('assembly', proposal.aud === said.aud)
  hold('proposal-id', proposal.proposal_id === said.proposal_id)
  hold('kind', proposal.effect.kind === said.kind)
  hold('treasury-nonce', proposal.treasury_nonce === said.treasury_nonce)
  demand((said.treasury_nonce !== null) === TREASURY.has(said.kind), 'a nonce without money')
  hold('rule-agreed', same(proposal.rule, said.rule))
  hold('electorate-agreed', proposal.electorate_hash === said.electorate_hash)
  hold('effect-well-formed', effectHolds(proposal))
}

// Early closing, where votes are final, is not followed here: a vote is closed when it is over.
function times(said) {
  const { rule, outcome, opened_ms: opened, closes_ms: closes, closed_ms: closed } = said
  const window = outcome === 'cancelled' ? 0 : rule.challenge_window_ms
  hold('closes-after-period', closes === opened + rule.voting_period_ms)
  hold('closed-after-opening', opened <= closed)
  hold('challenge-window', said.challenge_ends_ms === closed + window)
  hold('period-over', closed >= closes || outcome === 'cancelled')
  hold('executable-until', said.executable_until_ms === said.challenge_ends_ms + EXECUTE_WITHIN_MS)
  hold('chain-start', (said.sequence === 1) === (said.previous === NONE))
}

function committed(file) {
  const made = file.ballots.map(({ ballot, salt }) =>
    sha256(`opkit ballot commitment\n${salt}\n${recordId(ballot)}\n`).toString('hex'),
  )
  return root(made.sort().map((one) => Buffer.from(one, 'hex'))).toString('hex')
}

// Returns what a decision's file comes to, or refuses it with the name of the check that fails.
export function countAgain(file, genesis) {
  const { network } = genesis
  const home = genesis.homes.get(peek(file.decision).payload.aud)
  const said = trying('home-node', () =>
    read(file.decision, { typ: 'opkit-decision+jws', by: home, network }),
  )
  hold('home-node', said.did === home)
  const proposal = trying('proposal-signature', () =>
    signedBy(file.proposal, 'opkit-proposal+jws', network),
  )
  agreement(file, said, proposal)
  const ids = file.electors.map((one) => one.member_id)
  inOrder('electors-once', ids)
  hold('electors-counted', ids.length === proposal.electors)
  const { keys, hash } = trying('elector-chains', () => electorate(file, proposal, genesis))
  hold('electorate-hash', hash === proposal.electorate_hash)
  hold('proposer-elector', keys.get(proposal.member_id)?.[0] === proposal.did)
  const theirs = (one) => keys.get(one.member_id)?.includes(one.did)

  const tokens = file.ballots.map((one) => one.ballot)
  const ballots = trying('ballot-signatures', () =>
    tokens.map((token) => signedBy(token, 'opkit-ballot+jws', network)),
  )
  inOrder('ballots-once', ballots.map((one) => one.member_id))
  hold('ballots-on-proposal', ballots.every((one) => one.proposal === said.proposal))
  hold('ballots-hash', hashOf(tokens.map(recordId)) === said.ballots_hash)
  hold('commitments-root', committed(file) === said.commitments_root)
  hold('ballots-by-electors', ballots.every(theirs))

  const given = file.delegations ?? []
  const delegations = trying('delegation-signatures', () =>
    given.map((token) => signedBy(token, 'opkit-delegation+jws', network)),
  )
  inOrder('delegations-once', delegations.map((one) => one.member_id))
  hold('delegations-hash', hashOf(given.map(recordId)) === said.delegations_hash)
  hold('delegations-by-electors', delegations.every(theirs))

  const choices = new Map(ballots.map((one) => [one.member_id, one.choice]))
  const delegates = new Map(delegations.map((one) => [one.member_id, one.to]))
  const tally = tallyOf(ids, choices, delegates)
  hold('tally-recounted', same(tally, said.tally))
  const { outcome } = said
  hold('outcome', outcome === 'cancelled' || outcome === outcomeOf(tally, said.rule))
  times(said)
  return { hash: recordId(file.decision), tally, outcome }
}

// What parties share of an agreement's signature, spelled again as it was signed
// (docs/protocol.md, Agreements).
import { canonical, demand, parseSigned, read, recordId, sha256 } from '../basics.mjs'

const SIGNATURE = 'opkit-agreement-signature+jws'
const DECISION = 'opkit-decision+jws'
const ATTESTED = 'opkit-attested-decision+jws'
const KEPT_BACK = ['previous', 'kind', 'ballots_hash', 'delegations_hash', 'executable_until_ms']

// An agreement is named by the hash of its terms' one spelling.
export function agreementId(spelled) {
  parseSigned(Buffer.from(spelled))
  return sha256(spelled).toString('hex')
}

function spell(payload, { typ, did, last }) {
  const header = canonical({ alg: 'Ed25519', kid: did, typ })
  const parts = [header, canonical(payload)].map((text) => Buffer.from(text).toString('base64url'))
  return [...parts, last].join('.')
}

// Returns the three tokens that a shared signature tells of, each verified with the home's key.
export function signedAgain(shared, { terms: spelled, home, network }) {
  const short = parseSigned(Buffer.from(shared))
  const terms = parseSigned(Buffer.from(spelled))
  const agreement = agreementId(spelled)
  const { decision, action } = short
  const { aud, did } = decision
  demand(did === home, 'another node decided')
  const decided = spell(decision, { typ: DECISION, did, last: short.decided })
  const cited = recordId(decided)
  const said = { network, aud, did, agreement, action, decision: cited }
  const signature = spell(
    { ...said, signed_at_ms: short.signed_at_ms },
    { typ: SIGNATURE, did, last: short.signature },
  )
  const told = Object.entries(decision).filter(([name]) => !KEPT_BACK.includes(name))
  const effect = { kind: 'agreement', action, agreement, terms: action === 'adopt' ? terms : null }
  const { title, commitments } = short
  const attested = spell(
    { ...Object.fromEntries(told), decision: cited, title, effect, commitments },
    { typ: ATTESTED, did, last: short.attested },
  )
  const tokens = { signature, decision: decided, attested }
  const types = { signature: SIGNATURE, decision: DECISION, attested: ATTESTED }
  for (const [name, typ] of Object.entries(types)) read(tokens[name], { typ, by: home, network })
  return { coop: aud, action, ...tokens }
}

// Agent cards: A2A 1.0 cards, signed by a detached JWS over their canonical JSON without the
// signatures (docs/protocol.md, Agent cards).
import { sign as signBytes } from 'node:crypto'
import { canonical, cidOf, demand, ed25519, fromBase64url, keyOf } from '../basics.mjs'

export const CARD_BYTES_MAX = 65_536
const INLINE_BYTES_MAX = 8_192
const EXTENSION = 'urn:opkit:a2a:agent:1'
const SIGNATURES_MAX = 8

const isText = (value) => typeof value === 'string' && value !== ''
const isEmpty = (value) =>
  value === null || value === '' || (typeof value === 'object' && !Object.keys(value).length)

// What is empty is under no signature, so a card has nothing that is.
function isPlain(value) {
  if (isEmpty(value)) return false
  if (typeof value === 'number') return Number.isSafeInteger(value)
  return typeof value !== 'object' || Object.values(value).every(isPlain)
}

const header = ({ protected: text }) => {
  demand(isText(text) && text.length <= 2_048, 'no protected header')
  return JSON.parse(fromBase64url(text))
}

function isBy(did, signature, bare) {
  const { alg, kid, typ, jku, ...more } = header(signature)
  const fields = isEmpty(more) && [alg, kid, typ].every(isText)
  const named = [did, `${did}#${did.slice('did:key:'.length)}`].includes(kid)
  if (!fields || !named || alg !== 'EdDSA' || typ !== 'JOSE') return false
  const signed = `${signature.protected}.${Buffer.from(canonical(bare)).toString('base64url')}`
  return ed25519(keyOf(did), Buffer.from(signed), fromBase64url(signature.signature))
}

// One broken attestation of somebody else's says nothing of the agent's own signature.
function holds(did, signature, bare) {
  try {
    return isBy(did, signature, bare)
  } catch {
    return false
  }
}

// Returns what this network knows of the agent that signed a card.
export function readCard(card, { did, network }) {
  const bytes = Buffer.from(canonical(card))
  demand(bytes.length <= CARD_BYTES_MAX, 'too large')
  demand(isPlain(card), 'an empty field, or no integer')
  const { signatures, ...bare } = card
  demand(Array.isArray(signatures) && signatures.length <= SIGNATURES_MAX, 'no signatures')
  demand(signatures.some((one) => holds(did, one, bare)), 'the agent did not sign it')
  const { name, description, version, supportedInterfaces: ways, capabilities } = card
  demand([name, description, version].every(isText) && Array.isArray(ways), 'no card')
  const said = (capabilities?.extensions ?? []).filter((one) => one.uri === EXTENSION)
  demand(said.length === 1, 'it does not say once of what agent it is')
  const agent = said[0].params
  demand(agent.did === did && agent.network === network, 'of another agent or network')
  demand(Number.isSafeInteger(agent.sequence) && agent.sequence > 0, 'no sequence')
  return { agent, cid: cidOf(bytes), size_bytes: bytes.length }
}

// Whether a record of the namespace `card` may stand.
export function isCarded({ cid, size_bytes: size, card = null, ...more }, { network, said }) {
  demand(isEmpty(more) && Number.isSafeInteger(size) && size > 0, 'more than a card says')
  demand(size <= CARD_BYTES_MAX && (size <= INLINE_BYTES_MAX) === (card !== null), 'not inline')
  if (card === null) return /^bafkrei[a-z2-7]{52}$/.test(cid)
  const found = readCard(card, { did: said.owner, network })
  demand(found.cid === cid && found.size_bytes === size, 'another card than it names')
  return found.agent.sequence <= said.sequence
}

// Returns a card that says of what agent it is, signed by that agent.
export function signCard(said, { agent, key }) {
  const bare = { ...said, capabilities: { extensions: [{ uri: EXTENSION, params: agent }] } }
  const encode = (value) => Buffer.from(canonical(value)).toString('base64url')
  const protected_ = encode({ alg: 'EdDSA', kid: key.did, typ: 'JOSE' })
  const input = Buffer.from(`${protected_}.${encode(bare)}`)
  const signature = signBytes(null, input, key.secret).toString('base64url')
  return { ...bare, signatures: [{ protected: protected_, signature }] }
}

// What a record says that leads to a card.
export function cardValue(card) {
  const bytes = Buffer.from(canonical(card))
  const small = bytes.length <= INLINE_BYTES_MAX
  return { cid: cidOf(bytes), size_bytes: bytes.length, card: small ? card : null }
}

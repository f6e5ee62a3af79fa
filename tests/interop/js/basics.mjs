// What the formats rest on, written from their specifications with nothing but Node's own crypto:
// canonical JSON (RFC 8785), base64url (RFC 7515), base58btc and did:key, CIDv1, compact JWS.
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto'

export class Refused extends Error {}

export function demand(holds, why) {
  if (!holds) throw new Refused(why)
}

export const sha256 = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

// JSON.stringify spells strings and numbers as RFC 8785 wants (section 3.2.2); sorting compares
// UTF-16 code units, as section 3.2.3 wants. What has no spelling there is refused.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const member = (name) => `${canonical(name)}:${canonical(value[name])}`
    return `{${Object.keys(value).sort().map(member).join(',')}}`
  }
  if (typeof value === 'string') demand(value.isWellFormed(), 'a string is no Unicode')
  if (typeof value === 'number') demand(Number.isFinite(value), 'a number is none')
  return JSON.stringify(value)
}

// Signed JSON is an object in its one spelling, its numbers integers that a double can hold.
export function parseSigned(bytes) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  const value = JSON.parse(text)
  demand(value !== null && typeof value === 'object' && !Array.isArray(value), 'no JSON object')
  demand(canonical(value) === text, 'not canonical JSON')
  const whole = (inner) => {
    if (typeof inner === 'number') demand(Number.isSafeInteger(inner), 'no safe integer')
    if (inner !== null && typeof inner === 'object') Object.values(inner).forEach(whole)
  }
  whole(value)
  return value
}

export function fromBase64url(text) {
  demand(/^[A-Za-z0-9_-]*$/.test(text), 'not base64url')
  const bytes = Buffer.from(text, 'base64url')
  demand(bytes.toString('base64url') === text, 'not the one spelling in base64url')
  return bytes
}

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

export function toBase58(bytes) {
  let number = BigInt(`0x${bytes.toString('hex') || '0'}`)
  let text = ''
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text
  for (const byte of bytes) {
    if (byte !== 0) break
    text = `1${text}`
  }
  return text
}

export function fromBase58(text) {
  let number = 0n
  for (const letter of text) {
    demand(BASE58.includes(letter), 'not base58btc')
    number = number * 58n + BigInt(BASE58.indexOf(letter))
  }
  const hex = number === 0n ? '' : number.toString(16)
  const zeros = text.length - text.replace(/^1+/, '').length
  return Buffer.from('00'.repeat(zeros) + (hex.length % 2 ? `0${hex}` : hex), 'hex')
}

const ED25519_PUB = Buffer.from([0xed, 0x01]) // multicodec, as an unsigned varint

export const didOf = (key) => `did:key:z${toBase58(Buffer.concat([ED25519_PUB, key]))}`

export function keyOf(did) {
  demand(did.startsWith('did:key:z'), 'no did:key in base58btc')
  const bytes = fromBase58(did.slice('did:key:z'.length))
  demand(bytes.length === 34 && bytes.subarray(0, 2).equals(ED25519_PUB), 'no Ed25519 key')
  demand(didOf(bytes.subarray(2)) === did, 'not the one spelling of a DID')
  return bytes.subarray(2)
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const RAW_SHA256 = Buffer.from([0x01, 0x55, 0x12, 0x20]) // version, codec, hash, its length

// RFC 4648, section 6, lower case and unpadded, as multibase `b`.
function toBase32(bytes) {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  bits += '0'.repeat((5 - (bits.length % 5)) % 5)
  return bits.match(/.{5}/g).map((five) => BASE32[parseInt(five, 2)]).join('')
}

export const cidOf = (bytes) => `b${toBase32(Buffer.concat([RAW_SHA256, sha256(bytes)]))}`

export function ed25519(key, message, signature) {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') }
  return verifySignature(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature)
}

// Reads a compact JWS without believing it.
export function peek(token) {
  const parts = token.split('.')
  demand(parts.length === 3, 'no compact JWS')
  const [header, payload] = parts.slice(0, 2).map((part) => parseSigned(fromBase64url(part)))
  demand(Object.keys(header).join() === 'alg,kid,typ', 'other header members than ours')
  demand(header.alg === 'Ed25519', 'another algorithm')
  return { ...header, payload, input: `${parts[0]}.${parts[1]}`, signature: parts[2] }
}

// Returns the payload of a token of this type, by this key, for this network; all three are what
// the reader expects, never what the token says.
export function read(token, { typ, by, network }) {
  const found = peek(token)
  demand(found.typ === typ, `a ${found.typ}, not a ${typ}`)
  demand(found.kid === by, `signed by ${found.kid}, not by ${by}`)
  const signature = fromBase64url(found.signature)
  demand(ed25519(keyOf(by), Buffer.from(found.input), signature), 'the signature does not verify')
  demand(found.payload.network === network, 'of another network')
  return found.payload
}

// A record's identity is the hash of its signing input, whoever signed it.
export const recordId = (token) => sha256(peek(token).input).toString('hex')

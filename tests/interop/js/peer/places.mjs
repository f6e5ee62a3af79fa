// Places in the overlay, and the tree by which two nodes compare what they keep
// (docs/protocol.md, The distributed hash table; Reconciliation).
import { keyOf, sha256 } from '../basics.mjs'

const LEAF_MAX = 32
const DIGITS = [...'0123456789abcdef']

export const nodePlace = (did) => sha256('opkit overlay node 1\n', keyOf(did)).toString('hex')

export const namePlace = (namespace, name) =>
  sha256(`opkit overlay key 1\n${namespace}\n${name}`).toString('hex')

const distance = (one, other) => BigInt(`0x${one}`) ^ BigInt(`0x${other}`)

export function nearestFirst(contacts, target) {
  const far = new Map(contacts.map((one) => [one.did, distance(nodePlace(one.did), target)]))
  const compare = (a, b) => (far.get(a.did) < far.get(b.did) ? -1 : 1)
  return [...contacts].sort(compare)
}

export const roomOf = (namespace, name, owner) =>
  sha256(`opkit record room 1\n${namespace}\n${owner}\n${name}`).toString('hex')

export const itemOf = (id, sponsor) =>
  sha256('opkit record item 1\n', Buffer.from(id, 'hex'), sponsor ?? '').toString('hex')

export const under = (items, prefix) => items.filter((item) => item.startsWith(prefix))

// `items` are in order, in hex.
export function fingerprint(items, prefix = '') {
  const some = under(items, prefix)
  const whole =
    some.length <= LEAF_MAX
      ? sha256(Buffer.from([0]), Buffer.from(some.join(''), 'hex'))
      : sha256(Buffer.from([1]), ...DIGITS.map((digit) => fingerprint(some, prefix + digit)))
  return whole.subarray(0, 24)
}

export const children = (items, prefix) =>
  Buffer.concat(DIGITS.map((digit) => fingerprint(items, prefix + digit)))

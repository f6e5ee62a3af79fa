// Merkle trees word for word from RFC 9162, section 2.1: roots and proofs by the recursive
// definitions (2.1.1, 2.1.3.1, 2.1.4.1), verification by the algorithms (2.1.3.2, 2.1.4.2).
import { sha256 } from './basics.mjs'

const LEAF = Buffer.from([0])
const NODE = Buffer.from([1])

export const leafHash = (data) => sha256(LEAF, data)
const nodeHash = (left, right) => sha256(NODE, left, right)

// The largest power of two smaller than n.
function split(n) {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

// MTH(D_n)
export function root(data) {
  if (data.length === 0) return sha256(Buffer.alloc(0))
  if (data.length === 1) return leafHash(data[0])
  const k = split(data.length)
  return nodeHash(root(data.slice(0, k)), root(data.slice(k)))
}

// PATH(m, D_n)
export function inclusion(m, data) {
  if (data.length === 1) return []
  const k = split(data.length)
  if (m < k) return [...inclusion(m, data.slice(0, k)), root(data.slice(k))]
  return [...inclusion(m - k, data.slice(k)), root(data.slice(0, k))]
}

// PROOF(m, D_n), by SUBPROOF(m, D_n, b)
export function consistency(m, data, whole = true) {
  const n = data.length
  if (m === n) return whole ? [] : [root(data)]
  const k = split(n)
  if (m <= k) return [...consistency(m, data.slice(0, k), whole), root(data.slice(k))]
  return [...consistency(m - k, data.slice(k), false), root(data.slice(0, k))]
}

// Section 2.1.3.2, step by step.
export function includes({ leaf, index, size, path, root: expected }) {
  if (index >= size) return false
  let fn = index
  let sn = size - 1
  let r = leaf
  for (const p of path) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(p, r)
      if (fn % 2 === 0) {
        do {
          fn = Math.floor(fn / 2)
          sn = Math.floor(sn / 2)
        } while (fn % 2 === 0 && fn !== 0)
      }
    } else {
      r = nodeHash(r, p)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 && r.equals(expected)
}

// Section 2.1.4.2, step by step; equal sizes are for the caller to compare there.
export function grew({ first, firstRoot, second, secondRoot, path }) {
  if (first === second) return path.length === 0 && firstRoot.equals(secondRoot)
  if (path.length === 0) return false
  const hashes = Number.isInteger(Math.log2(first)) ? [firstRoot, ...path] : path
  let fn = first - 1
  let sn = second - 1
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  let fr = hashes[0]
  let sr = hashes[0]
  for (const c of hashes.slice(1)) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(c, fr)
      sr = nodeHash(c, sr)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else {
      sr = nodeHash(sr, c)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  return sn === 0 && fr.equals(firstRoot) && sr.equals(secondRoot)
}

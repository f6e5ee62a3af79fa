// The Merkle trees of the vectors, by ../merkle.mjs.
import { grew, includes, leafHash, root } from '../merkle.mjs'

const hex = (text) => Buffer.from(text, 'hex')

export const rootOf = (leaves) => root(leaves.map((text) => Buffer.from(text))).toString('hex')

export const inclusionHolds = ({ index, size, inclusion, root: expected }, leaves) =>
  includes({
    leaf: leafHash(Buffer.from(leaves[index])),
    index,
    size,
    path: inclusion.map(hex),
    root: hex(expected),
  })

export const consistencyHolds = ({ first, first_root: firstRoot, size, root: last, consistency }) =>
  grew({
    first,
    firstRoot: hex(firstRoot),
    second: size,
    secondRoot: hex(last),
    path: consistency.map(hex),
  })

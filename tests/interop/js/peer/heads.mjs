// Heads of other nodes' journals: as they are countersigned, and as they prove a fork
// (docs/protocol.md, Witnessing).
import { canonical, demand, keyOf, read } from '../basics.mjs'
import { grew, includes, leafHash } from '../merkle.mjs'

const HEAD_CHARACTERS_MAX = 1_024
const PATH_MAX = 32

const hex = (text) => Buffer.from(text, 'hex')

export function isDid(text) {
  try {
    return keyOf(text).length === 32
  } catch {
    return false
  }
}

// Returns a head that this very node signed.
export function readHead(token, { node, network }) {
  demand(typeof token === 'string' && token.length <= HEAD_CHARACTERS_MAX, 'no head')
  const head = read(token, { typ: 'opkit-journal-head+jws', by: node, network })
  demand(head.node === node && head.aud === 'journal', 'the head of another node')
  return head
}

const grows = ({ first, root, second, path }) =>
  grew({
    first,
    firstRoot: hex(root),
    second: second.size,
    secondRoot: hex(second.root),
    path: path.map(hex),
  })

// Whether two heads exclude each other, as a record of the namespace `fork` says.
export function isFork({ first: one, second: other, root = null, path = [] }, by) {
  const [first, second] = [one, other].map((token) => readHead(token, by))
  demand(first.generation === second.generation, 'of two generations')
  demand(first.size <= second.size && path.length <= PATH_MAX, 'in another order, or too long')
  if (first.size === second.size) {
    const differ = first.root !== second.root || first.hash !== second.hash
    return root === null && path.length === 0 && differ
  }
  return root !== null && root !== first.root && grows({ first: first.size, root, second, path })
}

// Whether an answer to `journal.grow` shows that the journal grew from each head of the question.
export function hasGrown({ seen = [] }, { head: token, growths = [], openings = [] }, by) {
  const head = readHead(token, by)
  for (const { entry, path } of openings) {
    const { at_ms, body, sequence, type } = entry
    const leaf = leafHash(Buffer.from(canonical({ at_ms, body, sequence, type })))
    const place = { leaf, index: sequence - 1, size: head.size, path: path.map(hex) }
    demand(includes({ ...place, root: hex(head.root) }), 'an opening that is not in the journal')
  }
  const kept = new Map(openings.map(({ entry }) => [entry.body.after.generation, entry.body.after]))
  return seen.every((one) => {
    const early = readHead(one, by)
    const growth = growths.find(({ size }) => size === early.size)
    const within = early.generation === head.generation
    const stayed = within || early.size <= (kept.get(early.generation)?.size ?? -1)
    if (!growth || growth.root !== early.root || !stayed) return false
    return grows({ first: early.size, root: growth.root, second: head, path: growth.path })
  })
}

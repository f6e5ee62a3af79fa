// A node's journal from its signed head: one entry of it, or all. Written from docs/protocol.md.
import { canonical, demand, peek, read, sha256 } from './basics.mjs'
import { grew, includes, leafHash, root } from './merkle.mjs'

const hex = (text) => Buffer.from(text, 'hex')

export function readHead(token, genesis) {
  const { node } = peek(token).payload
  demand(genesis.nodes.some((one) => one.did === node), 'the head is by no node')
  return read(token, { typ: 'opkit-journal-head+jws', by: node, network: genesis.network })
}

const stored = ({ at_ms, body, sequence, type }) =>
  Buffer.from(canonical({ at_ms, body, sequence, type }))

// What `opkit journal prove` writes: {head, entry, path}.
export function checkEntry({ head: token, entry, path }, genesis) {
  const head = readHead(token, genesis)
  const leaf = leafHash(stored(entry))
  const place = { leaf, index: entry.sequence - 1, size: head.size, path: path.map(hex) }
  demand(entry.sequence >= 1, 'no place in a journal')
  demand(includes({ ...place, root: hex(head.root) }), 'the entry is not in the journal')
}

// Every entry, each citing the one before, and the tree over them.
export function checkJournal({ head: token, entries }, genesis) {
  const head = readHead(token, genesis)
  let previous = Buffer.alloc(32)
  entries.forEach((entry, place) => {
    demand(entry.sequence === place + 1, `entry ${entry.sequence} is out of place`)
    demand(entry.previous === previous.toString('hex'), `entry ${entry.sequence} cites another`)
    previous = sha256('opkit journal entry 1\n', previous, stored(entry))
    demand(entry.hash === previous.toString('hex'), `entry ${entry.sequence} is not what it was`)
  })
  demand(entries.length === head.size && head.hash === previous.toString('hex'), 'another end')
  demand(root(entries.map(stored)).equals(hex(head.root)), 'another root')
}

// That one head's journal begins with another's: {early, late, path}.
export function checkGrowth({ early: first, late: second, path }, genesis) {
  const [early, late] = [readHead(first, genesis), readHead(second, genesis)]
  demand(early.node === late.node, 'heads of two nodes')
  const ends = { firstRoot: hex(early.root), secondRoot: hex(late.root), path: path.map(hex) }
  demand(grew({ first: early.size, second: late.size, ...ends }), 'it did not only grow')
}

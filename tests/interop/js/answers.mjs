// Answers questions on stdin, {name: [asks]}, by the implementation in this folder: what it makes
// of the same bytes, or that it refuses them. Bytes travel as hex.
import { canonical, cidOf, didOf, ed25519, keyOf, parseSigned } from './basics.mjs'
import { checkEntry, checkGrowth, checkJournal } from './journal.mjs'
import { consistency, grew, includes, inclusion, leafHash, root } from './merkle.mjs'
import { readGenesis } from './stranger.mjs'

const bytes = (text) => Buffer.from(text, 'hex')
const hex = (data) => data.toString('hex')
const leaves = (size) => Array.from({ length: size }, (_, place) => Buffer.from(`entry ${place}`))

const answers = {
  entry: ({ genesis, ...proof }) => checkEntry(proof, readGenesis(genesis)) ?? true,
  journal: ({ genesis, ...whole }) => checkJournal(whole, readGenesis(genesis)) ?? true,
  growth: ({ genesis, ...heads }) => checkGrowth(heads, readGenesis(genesis)) ?? true,
  canonical: ({ text }) => canonical(JSON.parse(text)),
  signed: ({ data }) => canonical(parseSigned(bytes(data))),
  // Numbers by their bits, because the text of a number is what is in question.
  numbers: ({ bits }) => bits.map((one) => canonical(bytes(one).readDoubleBE())),
  cid: ({ data }) => cidOf(bytes(data)),
  did: ({ key }) => didOf(bytes(key)),
  key: ({ did }) => hex(keyOf(did)),
  ed25519: ({ key, message, signature }) => ed25519(bytes(key), bytes(message), bytes(signature)),
  // Every root and every proof of trees of up to `size` leaves, `entry 0`, `entry 1` and so on.
  tree: ({ size }) => {
    const data = leaves(size)
    const made = { roots: [], inclusion: [], consistency: [] }
    for (let n = 1; n <= size; n += 1) {
      const first = data.slice(0, n)
      made.roots.push(hex(root(first)))
      made.inclusion.push(first.map((_, m) => inclusion(m, first).map(hex)))
      made.consistency.push(first.map((_, m) => consistency(m + 1, first).map(hex)))
    }
    return made
  },
  includes: (ask) =>
    includes({
      leaf: leafHash(Buffer.from(`entry ${ask.index}`)),
      index: ask.index,
      size: ask.size,
      path: ask.path.map(bytes),
      root: bytes(ask.root),
    }),
  grew: (ask) =>
    grew({
      first: ask.first,
      firstRoot: bytes(ask.first_root),
      second: ask.second,
      secondRoot: bytes(ask.second_root),
      path: ask.path.map(bytes),
    }),
}

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const said = {}
for (const [name, asks] of Object.entries(JSON.parse(Buffer.concat(chunks).toString()))) {
  said[name] = asks.map((ask) => {
    try {
      return { ok: answers[name](ask) }
    } catch (refused) {
      return { no: String(refused.message) }
    }
  })
}
process.stdout.write(JSON.stringify(said))

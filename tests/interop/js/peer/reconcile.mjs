// Comparing what two nodes keep, from both sides (docs/protocol.md, Reconciliation).
import { demand, fromBase64url } from '../basics.mjs'
import { children, fingerprint, under } from './places.mjs'

const ID = 16
const FEW = 32
const MANY = 1_024
const IDS_MAX = 16_384
const PREFIXES_MAX = 256
const FETCHED_MAX = 128
const PUSHED_MAX = 64
const CHARACTERS_MAX = 262_144
const DIGITS = [...'0123456789abcdef']

const pack = (ids) => Buffer.from(ids.join(''), 'hex').toString('base64url')

function unpack(text, size) {
  const bytes = fromBase64url(text)
  demand(bytes.length % size === 0, 'one is cut off')
  const count = bytes.length / size
  return Array.from({ length: count }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size).toString('hex'),
  )
}

const cut = (item) => item.slice(0, 2 * ID)

export function answerCompare(shelf, { namespace, prefixes, ids_max: idsMax }) {
  const items = shelf.items(namespace)
  const ranges = []
  let left = IDS_MAX
  for (const prefix of prefixes) {
    const some = under(items, prefix)
    if (some.length > idsMax) {
      ranges.push({ children: children(items, prefix).toString('base64url'), ids: null })
      continue
    }
    if (ranges.length && some.length > left) break
    left -= some.length
    ranges.push({ children: null, ids: pack(some.map(cut)) })
  }
  return { ranges }
}

const characters = ({ jws, proof = [] }) => jws.length + proof.join('').length

export function answerFetch(shelf, { namespace, ids }) {
  const records = []
  let upto = 0
  let left = CHARACTERS_MAX
  for (const id of unpack(ids, ID)) {
    const carried = shelf.byItem(namespace, id)
    left -= carried ? characters(carried) : 0
    if (carried && left < 0 && records.length) break
    if (carried) records.push(carried)
    upto += 1
  }
  return { records, upto }
}

export function answerPush(shelf, { records }) {
  const declined = []
  let kept = 0
  records.forEach((carried, place) => {
    try {
      if (shelf.take(carried).fresh) kept += 1
    } catch (no) {
      if (['signed-record-rejected', 'record-not-owners'].includes(no.code)) throw no
      declined.push(place)
    }
  })
  return { kept, declined }
}

// Compares one namespace with a peer and repairs both sides; returns what came and what went.
export async function reconcile(session, shelf, namespace) {
  const items = shelf.items(namespace)
  const { theirs, ours } = await differences(session, items, namespace)
  const came = await fetchAll(session, shelf, namespace, theirs)
  const missing = ours.map((id) => shelf.byItem(namespace, id)).filter(Boolean)
  const went = await pushAll(session, namespace, missing)
  return { came, went }
}

async function differences(session, items, namespace) {
  const found = { theirs: [], ours: [] }
  let waiting = ['']
  while (waiting.length) {
    const asked = waiting.slice(0, PREFIXES_MAX)
    const few = asked.every((prefix) => under(items, prefix).length <= FEW)
    const ids_max = few ? MANY : FEW
    const body = { namespace, prefixes: asked, ids_max }
    const { ranges } = await session.ask('reconcile.compare', body)
    demand(ranges.length >= 1 && ranges.length <= asked.length, 'an answer to no prefix')
    waiting = waiting.slice(ranges.length)
    ranges.forEach((range, at) => {
      const prefix = asked[at]
      if (range.ids !== null) compareIds(items, prefix, range.ids, found)
      else waiting.push(...deeper(items, prefix, range.children))
    })
  }
  return found
}

function compareIds(items, prefix, packed, found) {
  const there = unpack(packed, ID)
  const ordered = there.every((id, at) => at === 0 || there[at - 1] < id)
  demand(ordered && there.every((id) => id.startsWith(prefix)), 'ids that stand elsewhere')
  const here = under(items, prefix).map(cut)
  found.theirs.push(...there.filter((id) => !here.includes(id)))
  found.ours.push(...here.filter((id) => !there.includes(id)))
}

function deeper(items, prefix, packed) {
  const there = unpack(packed, 24)
  demand(there.length === 16, 'not sixteen')
  return DIGITS.map((digit) => prefix + digit).filter(
    (longer, at) => fingerprint(items, longer).toString('hex') !== there[at],
  )
}

async function fetchAll(session, shelf, namespace, ids) {
  let came = 0
  let waiting = ids
  while (waiting.length) {
    const asked = waiting.slice(0, FETCHED_MAX)
    const { records, upto } = await session.ask('reconcile.fetch', { namespace, ids: pack(asked) })
    demand(upto >= 1 && upto <= asked.length && records.length <= upto, 'it gives other records')
    for (const carried of records) if (shelf.take(carried).fresh) came += 1
    for (const carried of records) {
      demand(isAsked(shelf, namespace, carried, asked), 'not asked for')
    }
    waiting = waiting.slice(upto)
  }
  return came
}

const isAsked = (shelf, namespace, carried, asked) =>
  asked.some((id) => shelf.byItem(namespace, id)?.jws === carried.jws)

async function pushAll(session, namespace, records) {
  let went = 0
  for (let at = 0; at < records.length; at += PUSHED_MAX) {
    const some = records.slice(at, at + PUSHED_MAX)
    const { kept } = await session.ask('reconcile.push', { namespace, records: some })
    went += kept
  }
  return went
}

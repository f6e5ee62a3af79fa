// Compares this folder's idea of the protocol with docs/protocol-vectors.json, which it reads on
// stdin; prints {checked, wrong}: how many of each kind agree, and what does not.
import { canonical, cidOf, didOf, fromBase64url, keyOf, read, recordId } from '../basics.mjs'
import { Refused, sha256 } from '../basics.mjs'
import { agreementId, signedAgain } from './agreements.mjs'
import { postingsOf } from './exchanges.mjs'
import { consistencyHolds, inclusionHolds, rootOf } from './trees.mjs'
import { readGenesis } from '../stranger.mjs'
import { framed, lengthOf, No, parse, readAnswer, readRequest } from './frames.mjs'
import { hasGrown } from './heads.mjs'
import { checkpointId, foldSet, readCheckpoint, readOperation } from './operations.mjs'
import { children, fingerprint, itemOf, namePlace, nearestFirst } from './places.mjs'
import { nodePlace, roomOf } from './places.mjs'
import { judge, keyPair, sign, sponsorOf } from './records.mjs'
import { unfit } from './schema.mjs'
import { countAgain } from './votes.mjs'

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const known = JSON.parse(Buffer.concat(chunks).toString())
const { types, network, clock_ms: now, frames, signed, derived, refused } = known
const genesis = readGenesis(known.genesis)
const checked = {}
const wrong = []

function check(kind, name, holds) {
  try {
    const said = holds()
    if (said === true) checked[kind] = (checked[kind] ?? 0) + 1
    else wrong.push(`${kind}: ${name}: ${said}`)
  } catch (bad) {
    wrong.push(`${kind}: ${name}: ${bad.stack}`)
  }
}

const hex = (text) => Buffer.from(text, 'hex')
const same = (one, other) => canonical(one) === canonical(other) || `${canonical(one)}`
const of = (list, name) => list.find((one) => one.name === name)

// Positive: what travels.

const asks = new Map(frames.filter((one) => one.kind === 'ask').map((one) => [one.on, one.type]))

function shape(one, value) {
  const why = unfit(value, types[one.type], types)
  return why === undefined || why
}

const bodies = {
  ask: (one, bytes) => {
    const frame = readRequest(bytes)
    return [frame.method === one.on && shape(one, frame.body), { v: 1, ...frame }]
  },
  answer: (one, bytes) => {
    const { ok } = readAnswer(bytes)
    return [shape(one, ok), { v: 1, ok }]
  },
  cast: (one, bytes) => [shape(one, parse(bytes)), parse(bytes)],
  refusal: (one, bytes) => {
    const { problem } = readAnswer(bytes)
    return [problem.code === one.code && problem.type.endsWith(one.code), { v: 1, problem }]
  },
  fault: (one, bytes) => {
    const { problem } = readAnswer(bytes)
    return [problem.code === 'fault' && problem.incident !== '', { v: 1, problem }]
  },
}

for (const one of frames) {
  check(one.kind, one.name, () => {
    const bytes = Buffer.from(one.json)
    if (lengthOf(hex(one.length)) !== bytes.length) return 'another length'
    const [fits, again] = bodies[one.kind](one, bytes)
    if (fits !== true) return fits
    const whole = Buffer.concat([hex(one.length), bytes])
    const value = one.kind === 'cast' ? again : { ...again }
    return framed(value).equals(whole) && same(parse(bytes), one.value)
  })
}

for (const one of signed) {
  check('signed', one.typ, () => {
    const signer = of(derived.keys, one.signer)
    const payload = read(one.jws, { typ: one.typ, by: signer.did, network })
    const again = sign(one.value, { typ: one.typ, key: keyPair(hex(signer.seed)) })
    const all = [payload, JSON.parse(one.payload)].every((it) => same(it, one.value) === true)
    const spelled = canonical(payload) === one.payload && again === one.jws
    return all && spelled && recordId(again) === one.id
  })
}

// What follows from what.

for (const one of derived.keys) {
  check('key', one.name, () => {
    const made = keyPair(hex(one.seed)).did
    const around = didOf(hex(one.public)) === made && keyOf(made).toString('hex') === one.public
    return around && made === one.did && nodePlace(made) === one.place
  })
}

for (const one of derived.records) {
  check('record', one.name, () => {
    const { aud, name, owner } = one.value
    const signer = derived.keys.find((key) => key.did === owner)
    const found = judge(one.jws, { genesis, now })
    const sponsor = sponsorOf(owner, one.proof, genesis)
    const item = itemOf(found.id, sponsor)
    const made = [found.id, sponsor, item, namePlace(aud, name), roomOf(aud, name, owner)]
    const wanted = [one.id, one.sponsor, one.item, one.place, one.room]
    const again = sign(one.value, { key: keyPair(hex(signer.seed)) })
    return same(made, wanted) === true && again === one.jws
  })
}

for (const one of refused.records_taken) {
  check('record', one.name, () => judge(one.jws, { genesis, now }).id.length === 64)
}

check('nearest', 'keys', () => {
  const { target, nearest } = derived.nearest
  const sorted = nearestFirst([...derived.keys], target)
  return same(sorted.map((one) => one.did), nearest)
})

for (const one of derived.trees) {
  check('tree', one.count, () => {
    const numbers = Array.from({ length: one.count }, (_, number) => `item ${number}`)
    const items = numbers.map((text) => sha256(text).toString('hex')).sort()
    const prints = Object.entries(one.fingerprints)
    const all = prints.every(([at, print]) => fingerprint(items, at).toString('hex') === print)
    return all && children(items, '').toString('hex') === one.children
  })
}

for (const one of derived.cids) check('cid', one.cid, () => cidOf(hex(one.bytes)) === one.cid)

for (const one of derived.base64url) {
  check('base64url', one.text, () => {
    const written = hex(one.bytes).toString('base64url')
    return written === one.text && fromBase64url(one.text).toString('hex') === one.bytes
  })
}

for (const one of derived.canonical) {
  check('canonical', one.canonical, () => {
    const made = canonical(JSON.parse(one.canonical))
    return made === one.canonical && sha256(made).toString('hex') === one.sha256
  })
}

for (const one of derived.journal) {
  check('journal', one.hash, () => {
    const made = sha256('opkit journal entry 1\n', hex(one.previous), one.stored)
    const leaf = sha256(Buffer.from([0]), one.stored)
    return made.toString('hex') === one.hash && leaf.toString('hex') === one.leaf
  })
}

const entries = derived.journal.map((one) => one.stored)

for (const one of derived.merkle) {
  check('merkle', one.size, () => {
    const leaves = entries.slice(0, one.size)
    return rootOf(leaves) === one.root && inclusionHolds(one, leaves) && consistencyHolds(one)
  })
}

for (const ask of frames.filter((one) => one.kind === 'ask' && one.on === 'journal.grow')) {
  check('growth', ask.name, () => {
    const answer = of(frames, ask.name.replace('ask', 'answer'))
    const node = of(derived.keys, 'node-1').did
    return hasGrown(ask.value.body, answer.value.ok, { node, network })
  })
}

for (const one of derived.decisions) {
  check('decision', one.name, () => {
    const { hash, tally, outcome } = one
    return same(countAgain(one.file, genesis), { hash, tally, outcome })
  })
}

for (const one of derived.operations) {
  check('operations', one.aud, () => {
    const told = one.operations.map((token) => readOperation(token, { network, aud: one.aud }))
    const { snapshot, heads } = foldSet(told, { network, aud: one.aud, founders: one.founders })
    const checkpoint = readCheckpoint(one.checkpoint, { network, aud: one.aud })
    const covers = same(checkpoint.heads, heads) === true && snapshot === one.snapshot
    return covers && checkpointId(checkpoint) === one.checkpoint_id
  })
}

for (const one of derived.agreements) {
  check('agreement', one.name, () => {
    const home = of(derived.keys, 'node-1').did
    const again = signedAgain(one.shared, { terms: one.terms, home, network })
    return agreementId(one.terms) === one.agreement && same(again, one.signed)
  })
}

for (const one of derived.exchanges) {
  check('exchange', one.name, () => {
    const posted = one.offer.parties.map((coop) => [coop, postingsOf(one.offer, coop)])
    return one.entry_id === `exchange:${one.id}` && same(Object.fromEntries(posted), one.posted)
  })
}

// What must be refused, and with what.

for (const one of refused.decisions) {
  check('refused decision', one.name, () => {
    try {
      countAgain(one.file, genesis)
    } catch (no) {
      return no.message === one.check || no.message
    }
    return 'believed'
  })
}

function codeOf(ask) {
  try {
    ask()
  } catch (no) {
    if (no instanceof No) return no.code
    throw no
  }
  return undefined
}

function readFrame(one) {
  const bytes = Buffer.from(one.json)
  lengthOf(hex(one.length))
  const request = one.kind === 'ask' ? readRequest(bytes) : undefined
  const body = request ? request.body : parse(bytes)
  const type = request ? asks.get(request.method) : 'Gossip'
  if (!type) throw new No('method-unknown', { method: request.method })
  const why = unfit(body, types[type], types)
  if (why !== undefined) throw new No('frame-malformed', { why })
}

for (const one of refused.frames) {
  check('refused frame', one.name, () => same(codeOf(() => readFrame(one)), one.code))
}

for (const one of refused.records) {
  check('refused record', one.name, () => {
    const code = codeOf(() => judge(one.jws, { genesis, now }))
    return code === one.code || `${code}, not ${one.code}`
  })
}

for (const one of refused.operations) {
  check('refused operation', one.name, () => {
    const by = one.name.startsWith('checkpoint') ? readCheckpoint : readOperation
    try {
      by(one.jws, { network, aud: derived.operations[0].aud })
      return 'taken'
    } catch (no) {
      return no instanceof Refused || no.stack
    }
  })
}

for (const text of refused.base64url) {
  check('refused text', text, () => {
    try {
      fromBase64url(text)
      return 'taken'
    } catch {
      return true
    }
  })
}

process.stdout.write(JSON.stringify({ checked, wrong }))

// Frames on a stream: a four-byte length and that many bytes of JSON (docs/protocol.md, Frames).
import { Refused, demand } from '../basics.mjs'

export const FRAME_BYTES_MAX = 1_048_576
const READ_BYTES = 65_536

// A refusal with a stable code, as it travels in a problem document.
export class No extends Refused {
  constructor(code, details, status = 422) {
    super(code)
    this.code = code
    this.details = details
    this.status = status
  }

  problem() {
    const { code, details, status } = this
    return { type: `urn:opkit:refusal:${code}`, title: code, status, code, details, hint: '' }
  }
}

export const malformed = (why) => new No('frame-malformed', { why })

export function framed(value) {
  const body = Buffer.from(JSON.stringify(value))
  demand(body.length <= FRAME_BYTES_MAX, 'more than a frame holds')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

export function lengthOf(four) {
  const length = four.readUInt32BE()
  if (length > FRAME_BYTES_MAX) throw malformed(`${length} bytes are more than a frame has`)
  return length
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs

// JSON.parse takes the last of two members of one name, which another reader may not: refused.
function refuseTwice(text) {
  const open = []
  let before = ''
  let last
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(undefined)
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':' && before === 'text') {
      const names = open.at(-1)
      const name = JSON.parse(last)
      if (names?.has(name)) throw malformed(`${name} is said twice`)
      names?.add(name)
    }
    before = token[0] === '"' ? 'text' : token
    last = token
  }
}

export function parse(body) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
    const value = JSON.parse(text)
    refuseTwice(text)
    return value
  } catch (bad) {
    throw bad instanceof No ? bad : malformed('no JSON')
  }
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)
const has = (value, ...names) => {
  const others = Object.keys(value).filter((name) => !names.includes(name))
  if (others.length) throw malformed(`${others[0]}: not expected`)
}

export function readRequest(body) {
  const frame = parse(body)
  if (!isObject(frame)) throw malformed('no object')
  has(frame, 'v', 'method', 'body')
  if ((frame.v ?? 1) !== 1) throw malformed('v: another version')
  if (typeof frame.method !== 'string' || frame.method.length > 64) throw malformed('method')
  if (!isObject(frame.body)) throw malformed('body')
  return frame
}

export function readAnswer(body) {
  const frame = parse(body)
  if (!isObject(frame)) throw malformed('no object')
  has(frame, 'v', 'ok', 'problem')
  const one = (frame.ok ?? null) === null
  demand(one !== ((frame.problem ?? null) === null), 'exactly one of ok and problem')
  return frame
}

// Reads frames, and what follows them, from the receiving half of a stream.
export class Reader {
  #recv
  #held = Buffer.alloc(0)

  constructor(recv) {
    this.#recv = recv
  }

  async bytes(count) {
    while (this.#held.length < count) {
      const more = Buffer.from(await this.#recv.read(READ_BYTES))
      if (more.length === 0) throw new Error('the stream ended within a frame')
      this.#held = Buffer.concat([this.#held, more])
    }
    const taken = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(count)
    return taken
  }

  async frame() {
    return this.bytes(lengthOf(await this.bytes(4)))
  }

  // Returns 1 or more bytes of what follows, or none at the end.
  async piece() {
    const held = this.#held
    this.#held = Buffer.alloc(0)
    return held.length ? held : Buffer.from(await this.#recv.read(READ_BYTES))
  }
}

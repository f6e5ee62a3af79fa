// One connection with one peer: questions both ways, a stream each, and casts on a stream that
// stays open (docs/protocol.md, Connections, Frames, Methods, Casts).
import { didOf } from '../basics.mjs'
import { No, Reader, framed, malformed, parse, readAnswer, readRequest } from './frames.mjs'

const ANSWER_MS = 10_000
const HELLO_MS = 5_000

export const within = (promise, ms, what) => {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: nothing within ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export class Session {
  #connection
  #around
  #admitted
  #admit
  #casting
  #hears = new Set()

  // `around` has: hello, the question that names the network; greet(body, session), which answers
  // it; answer(did, method, body), which gives {ok, after}; heard(did, value); left(session); and
  // broke(did, error), told of what should not happen.
  constructor(connection, { dialled, around }) {
    this.#connection = connection
    this.#around = around
    this.did = didOf(Buffer.from(connection.remoteId().toBytes()))
    this.dialled = dialled
    this.over = false
    this.since = Date.now()
    this.#admitted = new Promise((done) => (this.#admit = done))
    connection.setMaxConcurrentUniStreams(0n)
    this.#serve()
  }

  async greet() {
    const welcome = await this.ask('peer.hello', this.#around.hello)
    this.#admit()
    return welcome
  }

  async ask(method, body, deadline = ANSWER_MS) {
    return (await this.exchange(method, body, deadline)).ok
  }

  // Asks, and returns the answer with a reader of what follows it.
  async exchange(method, body, deadline = ANSWER_MS) {
    const stream = await this.#connection.openBi()
    await stream.send.writeAll([...framed({ v: 1, method, body })])
    await stream.send.finish()
    const reader = new Reader(stream.recv)
    const frame = readAnswer(await within(reader.frame(), deadline, method))
    if (frame.problem) throw new No(frame.problem.code, frame.problem.details)
    return { ok: frame.ok, reader }
  }

  // Sends one value of a kind after those before it; if that fails, the next one begins anew.
  async cast(kind, value) {
    this.#casting ??= this.#openCasts(kind)
    const casting = this.#casting.then(async (send) => {
      await send.writeAll([...framed(value)])
      return send
    })
    this.#casting = casting
    try {
      await casting
    } catch (failed) {
      if (this.#casting === casting) this.#casting = undefined
      throw failed
    }
  }

  async #openCasts(kind) {
    const stream = await this.#connection.openBi()
    await stream.send.writeAll([...framed({ v: 1, method: 'peer.cast', body: { kind } })])
    const frame = readAnswer(await within(new Reader(stream.recv).frame(), ANSWER_MS, 'casts'))
    if (frame.problem) throw new No(frame.problem.code, frame.problem.details)
    return stream.send
  }

  close(why) {
    this.#connection.close(0n, [...Buffer.from(why)])
  }

  async #serve() {
    try {
      for (;;) {
        const stream = await this.#connection.acceptBi()
        this.#answer(stream).catch((gone) => this.#around.broke(this.did, gone))
      }
    } catch {
      this.over = true
      this.#around.left(this)
    }
  }

  async #answer(stream) {
    const reader = new Reader(stream.recv)
    let said
    try {
      const { method, body } = readRequest(await within(reader.frame(), ANSWER_MS, 'a question'))
      if (method === 'peer.cast') return await this.#hear(body, stream, reader)
      said = await this.#answered(method, body)
    } catch (no) {
      if (!(no instanceof No)) throw no
      said = { problem: no.problem() }
    }
    const { after, ...frame } = said
    await stream.send.writeAll([...framed({ v: 1, ...frame })])
    if (after?.length) await stream.send.writeAll([...after])
    await stream.send.finish()
  }

  async #answered(method, body) {
    if (method === 'peer.hello') {
      if (this.dialled) throw malformed('the one who dialled says hello')
      const ok = this.#around.greet(body, this)
      this.#admit()
      return { ok }
    }
    if (!this.dialled) await this.#needHello()
    else await within(this.#admitted, HELLO_MS, 'the welcome')
    return this.#around.answer(this.did, method, body)
  }

  async #needHello() {
    const early = Symbol('nothing yet')
    const first = await Promise.race([this.#admitted, Promise.resolve(early)])
    if (first === early) throw new No('wrong-network', { network: this.#around.hello.network }, 403)
  }

  async #hear({ kind }, stream, reader) {
    if (kind !== 'gossip') throw new No('method-unknown', { method: kind })
    if (this.#hears.has(kind)) throw new No('peer-rate-exceeded', { limit: 1 }, 429)
    this.#hears.add(kind)
    await stream.send.writeAll([...framed({ v: 1, ok: {} })])
    await stream.send.finish()
    try {
      for (;;) this.#around.heard(this.did, parse(await reader.frame()))
    } catch (ended) {
      if (!this.over && ended instanceof No) this.close('a cast that cannot be read')
    } finally {
      this.#hears.delete(kind)
    }
  }
}

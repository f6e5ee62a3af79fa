// A peer of an opkit network, written from docs/protocol.md: it finds nodes, puts and gets
// records, provides and fetches blobs, gossips and reconciles, over npm `@number0/iroh`.
import iroh from '@number0/iroh'
import { cidOf, demand, keyOf, recordId } from '../basics.mjs'
import { readGenesis } from '../stranger.mjs'
import { cardValue, signCard } from './cards.mjs'
import { No } from './frames.mjs'
import { Gossip } from './gossip.mjs'
import { heldBy, readClaim } from './names.mjs'
import { namePlace, nearestFirst } from './places.mjs'
import { answerCompare, answerFetch, answerPush, reconcile } from './reconcile.mjs'
import { RULES, judge, keyPair, sign } from './records.mjs'
import { Session, within } from './session.mjs'
import { Shelf } from './shelf.mjs'

const ALPN = [...Buffer.from('opkit/1')]
const CONTACTS_MAX = 20
const ASKED_MAX = 64
const AT_ONCE = 3
const DIAL_MS = 10_000
const SILENT_MS = 10_000 // Nodes give each other 2 s; a machine that tests may be busy.
const BLOB_BYTES_MAX = 32 * 2 ** 20

export class Peer {
  #endpoint
  #seed
  #serves
  #proof
  #sessions = new Map()
  #dialling = new Map()
  #contacts = new Map()
  #blobs = new Map()
  asked = {}
  broken = []
  silent = 0
  lost = 0

  // One that does not serve the hash table only asks: it tells nobody where it is, answers no ping,
  // and so stands in nobody's table.
  constructor({ seed, genesis: token, org = null, serves = false, proof = [] }) {
    this.#serves = serves
    this.#proof = proof
    this.#seed = Buffer.from(seed, 'hex')
    this.key = keyPair(this.#seed)
    this.did = this.key.did
    this.genesis = readGenesis(token)
    const { network } = this.genesis
    this.hello = { network, genesis: recordId(token), org, version: 'js 0' }
    this.shelf = new Shelf(this.genesis)
    this.gossip = new Gossip(this.shelf, (did, frame) => this.#cast(did, frame))
  }

  async open() {
    const builder = iroh.Endpoint.builder()
    builder.applyMinimal()
    builder.relayMode(iroh.RelayMode.disabled())
    builder.secretKey([...this.#seed])
    builder.alpns([ALPN])
    // Both families, or the missing one is bound on every interface.
    for (const address of ['127.0.0.1:0', '[::1]:0']) builder.bindAddr(address)
    this.#endpoint = await builder.bind()
    this.#accept()
    return this.contact()
  }

  contact() {
    return { did: this.did, addresses: this.#endpoint.boundSockets() }
  }

  #sender() {
    return this.#serves ? this.contact() : null
  }

  connected() {
    return [...this.#sessions.keys()].sort()
  }

  // Returns the session with a peer, dialling if there is none.
  async session(contact) {
    const standing = this.#sessions.get(contact.did)
    if (standing && !standing.over) return standing
    if (!this.#dialling.has(contact.did)) {
      const dialling = this.#dial(contact).finally(() => this.#dialling.delete(contact.did))
      this.#dialling.set(contact.did, dialling)
    }
    return this.#dialling.get(contact.did)
  }

  async #dial({ did, addresses }) {
    const id = iroh.EndpointId.fromBytes([...keyOf(did)])
    const target = new iroh.EndpointAddr(id, null, addresses)
    const connection = await within(this.#endpoint.connect(target, ALPN), DIAL_MS, 'a connection')
    const session = new Session(connection, { dialled: true, around: this })
    await session.greet()
    this.#contacts.set(did, { did, addresses })
    return this.#joined(session)
  }

  async #accept() {
    for (;;) {
      const incoming = await this.#endpoint.acceptNext()
      if (incoming === null) return
      this.#welcome(incoming).catch((failed) => this.broke('somebody', failed))
    }
  }

  async #welcome(incoming) {
    const connection = await (await incoming.accept()).connect()
    new Session(connection, { dialled: false, around: this })
  }

  // Returns the session that stays: the newer one, but of two made within 3 s the one that the
  // lower DID dialled. The other is closed after 1 s, in which its questions may end.
  #joined(session) {
    const { did } = session
    const standing = this.#sessions.get(did)
    const both = standing && !standing.over && session.since - standing.since < 3_000
    const dialler = (one) => (one.dialled ? this.did : did)
    const stays = both && dialler(standing) < dialler(session) ? standing : session
    const goes = stays === session ? standing : session
    if (goes && !goes.over) setTimeout(() => goes.close('another connection stays'), 1_000)
    this.#sessions.set(did, stays)
    this.gossip.joined(did)
    return stays
  }

  left(session) {
    if (this.#sessions.get(session.did) !== session) return
    this.#sessions.delete(session.did)
    this.gossip.left(session.did)
  }

  // What the network does (a stream that is reset, silence) is a plain error; others are mistakes.
  broke(did, failed) {
    if (failed.constructor === Error) this.lost += 1
    else this.broken.push(`${did}: ${failed.stack}`)
  }

  drop(did) {
    this.#sessions.get(did)?.close('not needed now')
  }

  async close() {
    for (const session of this.#sessions.values()) session.close('the peer ends')
    await this.#endpoint.close()
  }

  #cast(did, frame) {
    const session = this.#sessions.get(did)
    session?.cast('gossip', frame).catch((failed) => this.broke(did, failed))
  }

  heard(did, frame) {
    this.gossip.heard(did, frame)
  }

  // What others ask.

  greet(hello, session) {
    if (hello.network !== this.hello.network || hello.genesis !== this.hello.genesis) {
      throw new No('wrong-network', { network: this.hello.network }, 403)
    }
    setImmediate(() => this.#joined(session))
    return { org: this.hello.org, version: this.hello.version }
  }

  answer(did, method, body) {
    const answers = {
      'blob.have': () => ({ ok: { size_bytes: this.#blobs.get(body.cid)?.length ?? null } }),
      'blob.fetch': () => this.#serveBlob(body),
      'dht.ping': () => ({ ok: { contact: this.contact() } }),
      'dht.find': () => ({ ok: { contacts: this.#nearest(body.target, did) } }),
      'dht.get': () => ({ ok: this.#found(body, did) }),
      'dht.put': () => ({ ok: { new: this.shelf.take(body.record).fresh } }),
      'reconcile.compare': () => ({ ok: answerCompare(this.shelf, body) }),
      'reconcile.fetch': () => ({ ok: answerFetch(this.shelf, body) }),
      'reconcile.push': () => ({ ok: answerPush(this.shelf, body) }),
      'names.claim': () => ({ ok: this.countersign(body) }),
    }
    const unserved = !this.#serves && method.startsWith('dht.')
    if (!(method in answers) || unserved) throw new No('method-unknown', { method })
    if (body.sender?.did === did) this.#contacts.set(did, body.sender)
    const asked = (this.asked[did] ??= {})
    asked[method] = (asked[method] ?? 0) + 1
    return answers[method]()
  }

  #serveBlob({ cid, size_bytes_max: most }) {
    const bytes = this.#blobs.get(cid)
    if (!bytes || bytes.length > most) throw new No('blob-unknown', { cid }, 404)
    return { ok: { size_bytes: bytes.length }, after: bytes }
  }

  // This peer keeps no table: whom it knows is whom it is connected with.
  #nearest(target, asker) {
    const others = this.connected().filter((did) => did !== asker)
    const known = others.map((did) => this.#contacts.get(did)).filter(Boolean)
    return nearestFirst(known, target).slice(0, CONTACTS_MAX)
  }

  #found({ namespace, name }, asker) {
    const records = this.shelf.get(namespace, name).slice(0, CONTACTS_MAX)
    return { records, contacts: this.#nearest(namePlace(namespace, name), asker) }
  }

  // What this peer does.

  record(namespace, name, value, until) {
    const now = Date.now()
    const lapses = until ?? now + RULES[namespace].term
    const payload = {
      ...{ network: this.genesis.network, aud: namespace, name, owner: this.did, value },
      ...{ sequence: now, issued_at_ms: now, lapses_at_ms: lapses },
    }
    return { jws: sign(payload, { key: this.key }), proof: this.#proof }
  }

  // What a home node of a coop does with a claim: it countersigns it, and tells everybody.
  countersign({ claim: token, member = [] }) {
    const claim = readClaim(token, this.genesis)
    const [standing] = this.shelf.get('name', claim.name).map(({ jws }) => heldBy(jws))
    if (standing?.target && standing.member_id !== claim.member_id) {
      const { name, member_id, lapses_at_ms } = standing
      throw new No('name-taken', { name, member_id, lapses_at_ms }, 409)
    }
    const until = claim.target === null ? undefined : claim.lapses_at_ms
    const carried = this.record('name', claim.name, { claim: token, member }, until)
    this.shelf.take(carried)
    this.gossip.publish(carried)
    return heldBy(carried.jws)
  }

  card(said) {
    const { network } = this.genesis
    const agent = { network, did: this.did, node: this.did, sequence: Date.now() }
    return this.record('card', this.did, cardValue(signCard(said, { agent, key: this.key })))
  }

  // Asks ever nearer nodes, three at a time, and returns the nearest of them with what each said.
  async lookup(target, method, body, known) {
    const seen = new Map(known.map((one) => [one.did, one]))
    const said = new Map()
    for (;;) {
      const nearest = nearestFirst([...seen.values()], target).slice(0, CONTACTS_MAX)
      const next = nearest.filter((one) => !said.has(one.did)).slice(0, AT_ONCE)
      if (!next.length || said.size >= ASKED_MAX) break
      const answers = await Promise.all(next.map((one) => this.#askNearer(one, method, body)))
      next.forEach((one, at) => {
        said.set(one.did, answers[at])
        if (!answers[at]) seen.delete(one.did)
      })
      const heardOf = answers.flatMap((answer) => answer?.contacts ?? [])
      for (const one of heardOf) {
        if (one.did !== this.did && !said.has(one.did)) seen.set(one.did, one)
      }
    }
    const answered = nearestFirst([...seen.values()], target)
    return answered.map((contact) => ({ contact, said: said.get(contact.did) }))
  }

  // A contact that does not answer is nobody's mistake: somebody told of a peer that has ended.
  async #askNearer(contact, method, body) {
    try {
      return await within(this.#askOne(contact, method, body), SILENT_MS, contact.did)
    } catch (failed) {
      if (failed instanceof No) throw failed
      this.silent += 1
      return undefined
    }
  }

  async #askOne(contact, method, body) {
    const session = await this.session(contact)
    return session.ask(method, { sender: this.#sender(), ...body })
  }

  async put(carried, known) {
    const now = Date.now()
    const { aud, name } = judge(carried.jws, { genesis: this.genesis, now })
    const target = namePlace(aud, name)
    const nearest = await this.lookup(target, 'dht.find', { target }, known)
    const answers = {}
    for (const { contact } of nearest) {
      const session = await this.session(contact)
      const body = { sender: this.#sender(), record: carried }
      answers[contact.did] = (await session.ask('dht.put', body)).new
    }
    this.#believe(carried)
    return answers
  }

  async get(namespace, name, known) {
    const found = await this.lookup(
      namePlace(namespace, name), 'dht.get', { namespace, name }, known,
    )
    for (const { said } of found) for (const carried of said.records) this.#believe(carried)
    return this.shelf.get(namespace, name)
  }

  #believe(carried) {
    try {
      this.shelf.take(carried)
    } catch (no) {
      if (!(no instanceof No)) throw no
    }
  }

  async provide(bytes, known) {
    const cid = cidOf(bytes)
    this.#blobs.set(cid, bytes)
    const { addresses } = this.contact()
    const carried = this.record('blob', cid, { addresses, size_bytes: bytes.length })
    return { cid, answers: await this.put(carried, known) }
  }

  // Fetches a blob from whoever says in the network that they keep it, and checks it by its name.
  async fetch(cid, known) {
    const providers = (await this.get('blob', cid, known)).map((carried) => peekProvider(carried))
    for (const provider of providers.filter((one) => one.did !== this.did)) {
      const session = await this.session(provider)
      const { size_bytes: size } = await session.ask('blob.have', { cid })
      if (size === null) continue
      const bytes = await this.#fetchFrom(session, cid)
      if (cidOf(bytes) === cid) return { bytes, from: provider.did }
    }
    throw new No('blob-unknown', { cid }, 404)
  }

  async #fetchFrom(session, cid) {
    const body = { cid, size_bytes_max: BLOB_BYTES_MAX }
    const { ok, reader } = await session.exchange('blob.fetch', body)
    demand(ok.size_bytes <= BLOB_BYTES_MAX, 'more than was asked for')
    const pieces = []
    let count = 0
    for (;;) {
      const piece = await reader.piece()
      if (piece.length === 0) break
      count += piece.length
      demand(count <= ok.size_bytes, 'more than was announced')
      pieces.push(piece)
    }
    demand(count === ok.size_bytes, 'less than was announced')
    return Buffer.concat(pieces)
  }

  async reconcile(contact, namespace) {
    return reconcile(await this.session(contact), this.shelf, namespace)
  }
}

function peekProvider({ jws }) {
  const said = JSON.parse(Buffer.from(jws.split('.')[1], 'base64url'))
  return { did: said.owner, addresses: said.value?.addresses ?? [] }
}

// Gossip of one topic: told, wanted, given, handed on (docs/protocol.md, Gossip).
import { fromBase64url, recordId } from '../basics.mjs'
import { No } from './frames.mjs'

const TOPIC = 'records'
const WAIT_MS = 150
const GIVEN_MAX = 3
const REMEMBERED_MAX = 10_000

const pack = (ids) => Buffer.from(ids.join(''), 'hex').toString('base64url')

function unpack(text) {
  const bytes = fromBase64url(text).toString('hex')
  return bytes.match(/.{64}/g) ?? []
}

export class Gossip {
  #shelf
  #say
  #mesh = new Set()
  #hearers = new Set()
  #messages = new Map()
  #given = new Map()
  #brought = new Set()
  counts = { pushed: 0, announced: 0, wanted: 0, given: 0, delivered: 0, stale: 0, bad: 0 }

  // `say(did, frame)` casts to a peer.
  constructor(shelf, say) {
    this.#shelf = shelf
    this.#say = say
  }

  joined(did) {
    this.#say(did, { subscribe: [TOPIC], graft: [TOPIC] })
  }

  left(did) {
    this.#mesh.delete(did)
    this.#hearers.delete(did)
  }

  // Whether gossip brought a message, which may have come by another way as well.
  brought(id) {
    return this.#brought.has(id)
  }

  mesh() {
    return [...this.#mesh]
  }

  publish(carried) {
    this.#tell(carried, undefined)
  }

  heard(did, frame) {
    if (frame.subscribe?.includes(TOPIC)) this.#hearers.add(did)
    if (frame.unsubscribe?.includes(TOPIC)) this.left(did)
    if (frame.graft?.includes(TOPIC)) this.#mesh.add(did)
    if (frame.prune?.some((one) => one.topic === TOPIC)) this.#mesh.delete(did)
    for (const { carried } of frame.publish ?? []) this.#take(did, carried)
    for (const { ids } of frame.have ?? []) this.#announced(did, unpack(ids))
    if (frame.want) this.#give(did, unpack(frame.want))
  }

  #take(did, carried) {
    this.counts.pushed += 1
    const id = recordId(carried.jws)
    this.#brought.add(id)
    if (this.#messages.has(id)) return
    try {
      if (this.#shelf.take(carried).fresh) this.counts.delivered += 1
      this.#tell(carried, did)
    } catch (no) {
      if (!(no instanceof No)) throw no
      const bad = ['signed-record-rejected', 'record-not-owners'].includes(no.code)
      this.counts[bad ? 'bad' : 'stale'] += 1
    }
  }

  #announced(did, ids) {
    this.counts.announced += ids.length
    const missing = ids.filter((id) => !this.#messages.has(id))
    if (!missing.length) return
    setTimeout(() => {
      const still = missing.filter((id) => !this.#messages.has(id))
      this.counts.wanted += still.length
      if (still.length) this.#say(did, { want: pack(still) })
    }, WAIT_MS)
  }

  #give(did, ids) {
    const publish = []
    for (const id of ids) {
      const carried = this.#messages.get(id)
      const times = this.#given.get(`${did} ${id}`) ?? 0
      if (!carried || times >= GIVEN_MAX) continue
      this.#given.set(`${did} ${id}`, times + 1)
      publish.push({ topic: TOPIC, carried })
    }
    this.counts.given += publish.length
    if (publish.length) this.#say(did, { publish })
  }

  // Hands a message on to the mesh, and its id to those who hear of the topic beside it.
  #tell(carried, from) {
    const id = recordId(carried.jws)
    this.#messages.set(id, carried)
    if (this.#messages.size > REMEMBERED_MAX) {
      this.#messages.delete(this.#messages.keys().next().value)
    }
    for (const did of this.#mesh) {
      if (did !== from) this.#say(did, { publish: [{ topic: TOPIC, carried }] })
    }
    for (const did of this.#hearers) {
      if (did !== from && !this.#mesh.has(did)) {
        this.#say(did, { have: [{ topic: TOPIC, ids: pack([id]) }] })
      }
    }
  }
}

// What this peer keeps: of each owner under each name the record that stands.
import { No } from './frames.mjs'
import { itemOf } from './places.mjs'
import { RULES, judge, outranks, sponsorOf } from './records.mjs'

const NEARLY_MS = 240_000 // What lapses within four minutes is not offered to others.
const RECORDS_MAX = 10_000

export class Shelf {
  #genesis
  #kept = new Map()

  constructor(genesis) {
    this.#genesis = genesis
  }

  // Returns whether the record is new here; refuses in the order of docs/protocol.md.
  take(carried) {
    const record = judge(carried.jws, { genesis: this.#genesis, now: Date.now() })
    const key = JSON.stringify([record.aud, record.name, record.owner])
    const standing = this.#kept.get(key)
    if (standing?.record.id === record.id) return { record, fresh: false }
    if (standing && outranks(standing.record, record)) {
      throw new No('record-outdated', { standing_sequence: standing.record.sequence }, 409)
    }
    if (this.#kept.size >= RECORDS_MAX) {
      throw new No('records-exhausted', { limit: RECORDS_MAX }, 429)
    }
    const sponsor = sponsorOf(record.owner, carried.proof ?? [], this.#genesis)
    const item = itemOf(record.id, sponsor)
    this.#kept.set(key, { record, carried, item, sponsor })
    return { record, fresh: true }
  }

  get(namespace, name) {
    const live = [...this.#live()].filter((one) => one.record.aud === namespace)
    return live.filter((one) => one.record.name === name).map((one) => one.carried)
  }

  byId(id) {
    return [...this.#live()].find((one) => one.record.id === id)?.carried
  }

  // The items that two nodes compare, in order, in hex.
  items(namespace) {
    return this.#listed(namespace).map((one) => one.item)
  }

  byItem(namespace, start) {
    return this.#listed(namespace).find((one) => one.item.startsWith(start))?.carried
  }

  #listed(namespace) {
    if (!RULES[namespace]?.reconciled) return []
    const mine = [...this.#live()].filter((one) => one.record.aud === namespace)
    return mine.sort((one, other) => (one.item < other.item ? -1 : 1))
  }

  * #live() {
    const until = Date.now() + NEARLY_MS
    for (const one of this.#kept.values()) if (one.record.lapses_at_ms > until) yield one
  }
}

// What each party posts of an exchange, from its offer alone (docs/protocol.md, Exchanges).

// Returns the postings of a party: what it is owed more, or less, and what stands for that.
export function postingsOf(offer, coop) {
  const due = new Map()
  for (const { payer, payee, amount } of offer.legs) {
    const [other, change] = coop === payee ? [payer, amount] : [payee, -amount]
    if (coop === payee || coop === payer) due.set(other, (due.get(other) ?? 0) + change)
  }
  const left = -[...due.values()].reduce((sum, each) => sum + each, 0)
  const ordered = [...due].sort(([one], [other]) => (one < other ? -1 : 1))
  const owed = ordered.map(([other, amount]) => [`due/${other}`, amount])
  return [...owed, ['equity/exchanges', left]]
    .filter(([, amount]) => amount !== 0)
    .map(([path, amount]) => ({ account: `${coop}:${path}`, unit: offer.unit, amount }))
}

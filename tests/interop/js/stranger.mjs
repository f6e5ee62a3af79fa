// A stranger verifies a run's report: `node stranger.mjs GENESIS FOLDER`, GENESIS being the one
// that they keep, never the folder's. Written from docs/protocol.md, without a line of opkit.
//
// Prints {status, problem, checked} and ends with 0 if everything verifies, else with 1.
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Refused, canonical, cidOf, demand, keyOf, peek, read } from './basics.mjs'
import { recordId, sha256 } from './basics.mjs'
import { readManifest } from './manifests.mjs'
import { keysOf } from './peer/members.mjs'
import { readName } from './peer/names.mjs'

const same = (one, other) => canonical(one) === canonical(other)

function once(names, what) {
  demand(new Set(names).size === names.length, `a ${what} occurs twice`)
}

export function readGenesis(token) {
  const { operator, network } = peek(token).payload
  const genesis = read(token, { typ: 'opkit-genesis+jws', by: operator, network })
  const charters = genesis.charters.map((signed) => signed.charter)
  const founders = charters.flatMap((charter) => charter.founders)
  const keys = [operator, ...[...genesis.nodes, ...founders].map((one) => one.did)]
  keys.forEach(keyOf)
  once(keys, 'key')
  once(genesis.nodes.map((node) => node.org), 'organisation')
  once(charters.map((charter) => charter.coop), 'coop')
  once(founders.map((founder) => founder.member_id), 'member')
  for (const { charter, signatures } of genesis.charters) {
    const { coop } = charter
    const home = genesis.nodes.find((node) => node.did === charter.home_node)
    demand(charter.network === network && home?.coop === coop, `the charter of ${coop}`)
    demand(charter.founders.every((one) => one.member_id.startsWith(`${coop}/`)), `in ${coop}`)
    const signers = charter.founders.map((one) => one.did).sort()
    demand(signers.length === signatures.length, `the signatures of ${coop}'s charter`)
    signatures.forEach((signature, place) => {
      const said = read(signature, { typ: 'opkit-charter+jws', by: signers[place], network })
      demand(same(said, charter), `a founder of ${coop} signed another charter`)
    })
  }
  const coops = new Set(charters.map((charter) => charter.coop))
  demand(genesis.nodes.every((node) => node.coop === null || coops.has(node.coop)), 'coops')
  const homes = new Map(charters.map((charter) => [charter.coop, charter.home_node]))
  return { ...genesis, coops, founders, homes }
}

export function checkReceipt({ receipt: token, manifest: ordered, records }, genesis) {
  const { network } = genesis
  const { executor } = peek(token).payload
  const receipt = read(token, { typ: 'opkit-receipt+jws', by: executor, network })
  demand(genesis.nodes.some((node) => node.did === executor), 'the executor is no node')
  const { manifest, key } = readManifest(ordered, genesis)
  const held = keysOf(manifest.member_id, records ?? [], genesis)
  demand(held.includes(key), 'the submitter never had that key')
  demand(manifest.expires_at_ms > manifest.issued_at_ms, 'the manifest ends before it begins')
  demand(receipt.manifest_hash === recordId(ordered), 'it cites another manifest')
  demand(receipt.aud === manifest.member_id, 'another submitter')
  demand(['any', executor].includes(manifest.aud), 'another executor was asked')
  for (const name of ['task_id', 'wasm_hash', 'input_hash', 'limits']) {
    demand(same(receipt[name], manifest[name]), `another ${name} than was asked for`)
  }
  const { limits, outcome } = receipt
  demand((receipt.output_hash !== null) === (outcome === 'ok'), 'an output, or none')
  demand((receipt.previous === null) === (receipt.sequence === 1), 'where its chain starts')
  demand(receipt.fuel_used <= limits.fuel, 'more fuel than allowed')
  demand(receipt.memory_peak_bytes <= limits.memory_bytes, 'more memory than allowed')
  demand(receipt.output_bytes <= limits.output_bytes, 'more output than allowed')
  demand(outcome === 'time' || receipt.time_used_us <= limits.time_ms * 1000, 'more time')
  demand(receipt.started_at_ms <= receipt.ended_at_ms, 'it ended before it started')
}

function filesIn(folder) {
  const found = new Map()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    demand(entry.isFile() || entry.isDirectory(), `${path} is neither file nor folder`)
    if (entry.isFile()) found.set(relative(folder, path), readFileSync(path))
  }
  return found
}

function checkFiles(statement, files) {
  const listed = statement.files.map((file) => file.path)
  demand(same(listed, [...files.keys()].sort()), 'other files than the statement lists')
  for (const { path, sha256: hash, size_bytes: size } of statement.files) {
    const data = files.get(path)
    demand(data.length === size && sha256(data).toString('hex') === hash, `the file ${path}`)
  }
}

function toldWhole(flow) {
  const told = flow.markers.map((marker) => marker.name)
  const shown = (one) => one.ok && one.checks.length > 0 && one.checks.every((check) => check.ok)
  const whole = flow.planned.length > 0 && same(told, flow.planned) && flow.markers.every(shown)
  return whole && flow.setup.every((step) => step.ok) && flow.stopped === null
}

function shownIn(page) {
  const opening = '<script type="application/json" id="opkit-evidence">'
  const start = page.lastIndexOf(opening) + opening.length
  return JSON.parse(page.slice(start, page.indexOf('</script>', start)))
}

export function verifyReport(genesisToken, folder) {
  const checked = { files: 0, markers: 0, receipts: 0, names: 0, blobs: 0 }
  const genesis = readGenesis(genesisToken)
  const { network, operator } = genesis
  const files = filesIn(folder)
  const token = files.get('report.jws').toString('ascii').trim()
  files.delete('report.jws')
  const statement = read(token, { typ: 'opkit-report+jws', by: operator, network })
  checkFiles(statement, files)
  checked.files = files.size
  const run = JSON.parse(files.get('evidence.json'))
  demand(run.network === network && run.operator === operator, 'a run on another network')
  demand(same(shownIn(files.get('index.html').toString()), run), 'the page shows another run')
  const nodes = new Set(genesis.nodes.map((node) => node.did))
  demand(run.nodes.every((node) => nodes.has(node.did)), 'a node of another network')
  const whole = run.flows.length > 0 && run.flows.every((flow) => flow.ok) && !run.interrupted
  demand(run.ok === whole, 'the run claims what its flows do not')
  for (const flow of run.flows) {
    demand(flow.ok === toldWhole(flow), `flow ${flow.name} claims what its markers do not`)
    for (const marker of flow.markers) {
      demand(!marker.ok || marker.checks.every((check) => check.ok), `checks of ${marker.name}`)
      checked.markers += 1
      for (const proof of marker.proofs) {
        if (proof.kind === 'receipt') {
          checkReceipt(proof.bundle, genesis)
          checked.receipts += 1
        } else if (proof.kind === 'name') {
          readName(proof.record, genesis)
          checked.names += 1
        } else {
          const data = files.get(proof.path)
          demand(data !== undefined && cidOf(data) === proof.cid, `the bytes of ${marker.name}`)
          checked.blobs += 1
        }
      }
    }
  }
  return checked
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const said = { status: 'verified', problem: '', checked: {} }
  try {
    said.checked = verifyReport(readFileSync(process.argv[2], 'ascii').trim(), process.argv[3])
  } catch (refused) {
    const ours = refused instanceof Refused || refused instanceof SyntaxError
    said.status = 'failed'
    said.problem = ours ? refused.message : String(refused)
  }
  process.stdout.write(JSON.stringify(said))
  process.exitCode = said.status === 'verified' ? 0 : 1
}

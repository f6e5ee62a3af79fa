// Reads {"verify": […], "sign": […], "raw": […]} on stdin and answers each in order on stdout, so
// that a second implementation, in another language, says what it thinks of our signed objects.
//   verify: {token, jwk}                    -> {ok, header, payload} or {ok: false, why}
//   sign:   {jwk, header, payload}          -> {token}
//   raw:    {key, message, signature} (hex) -> {ok}, by WebCrypto's Ed25519
import { CompactSign, compactVerify, importJWK } from 'jose'

const hex = (text) => Uint8Array.from(Buffer.from(text, 'hex'))

async function verify({ token, jwk }) {
  try {
    const key = await importJWK(jwk, 'Ed25519')
    const { payload, protectedHeader } = await compactVerify(token, key, {
      algorithms: ['Ed25519'],
    })
    return { ok: true, header: protectedHeader, payload: new TextDecoder().decode(payload) }
  } catch (refused) {
    return { ok: false, why: refused.code ?? refused.name }
  }
}

async function sign({ jwk, header, payload }) {
  const key = await importJWK(jwk, 'Ed25519')
  const signer = new CompactSign(new TextEncoder().encode(payload))
  return { token: await signer.setProtectedHeader(header).sign(key) }
}

async function raw({ key, message, signature }) {
  try {
    const imported = await crypto.subtle.importKey('raw', hex(key), 'Ed25519', false, ['verify'])
    return { ok: await crypto.subtle.verify('Ed25519', imported, hex(signature), hex(message)) }
  } catch (refused) {
    return { ok: false, why: refused.name }
  }
}

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const asked = JSON.parse(Buffer.concat(chunks).toString('utf8'))
const answer = async (asks, how) => {
  const said = []
  for (const ask of asks ?? []) said.push(await how(ask))
  return said
}
process.stdout.write(
  JSON.stringify({
    verify: await answer(asked.verify, verify),
    sign: await answer(asked.sign, sign),
    raw: await answer(asked.raw, raw),
  }),
)

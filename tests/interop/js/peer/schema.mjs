// As much of JSON Schema as `types` in docs/protocol-vectors.json uses. Returns why a value does
// not fit, or undefined.
import { fromBase64url } from '../basics.mjs'

const KNOWN = new Set(
  `$ref additionalProperties anyOf const contentEncoding default enum items maxBytes maxItems
  maxLength maximum minItems minLength minimum pattern properties required type`.split(/\s+/),
)

const KINDS = {
  object: (value) => value !== null && typeof value === 'object' && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  integer: Number.isSafeInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
}

export function unfit(value, schema, types) {
  const unknown = Object.keys(schema).find((name) => !KNOWN.has(name))
  if (unknown) throw new Error(`the schema says ${unknown}, which is not known here`)
  if (schema.$ref) return unfit(value, types[schema.$ref.split('/').at(-1)], types)
  if (schema.anyOf) {
    const fits = schema.anyOf.some((one) => unfit(value, one, types) === undefined)
    return fits ? undefined : 'none of what it may be'
  }
  if (schema.type && !KINDS[schema.type](value)) return `no ${schema.type}`
  if ('const' in schema && value !== schema.const) return 'another text'
  if (schema.enum && !schema.enum.includes(value)) return 'not one of them'
  const { minimum = -Infinity, maximum = Infinity } = schema
  if (schema.type === 'integer' && (value < minimum || value > maximum)) return 'out of bounds'
  if (schema.type === 'string') return unfitText(value, schema)
  if (schema.type === 'array') return unfitList(value, schema, types)
  return schema.type === 'object' ? unfitObject(value, schema, types) : undefined
}

function unfitText(value, schema) {
  const { minLength = 0, maxLength = Infinity, maxBytes = Infinity } = schema
  const length = [...value].length
  if (length < minLength || length > maxLength) return 'too short or too long'
  if (schema.pattern && !new RegExp(schema.pattern, 'u').test(value)) return 'another pattern'
  if (!schema.contentEncoding) return undefined
  try {
    return fromBase64url(value).length > maxBytes ? 'too many bytes' : undefined
  } catch (bad) {
    return bad.message
  }
}

function unfitList(value, schema, types) {
  const { minItems = 0, maxItems = Infinity } = schema
  if (value.length < minItems || value.length > maxItems) return 'too few or too many'
  return value.map((one) => unfit(one, schema.items, types)).find((why) => why !== undefined)
}

function unfitObject(value, schema, types) {
  const { properties = {}, required = [], additionalProperties = true } = schema
  const missing = required.find((name) => !(name in value))
  if (missing) return `${missing} is missing`
  for (const [name, one] of Object.entries(value)) {
    if (!(name in properties)) {
      if (additionalProperties === false) return `${name} is not expected`
      continue
    }
    const why = unfit(one, properties[name], types)
    if (why !== undefined) return `${name}: ${why}`
  }
  return undefined
}

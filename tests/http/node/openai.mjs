// OpenAI's clients. Each line of the input is a command {op, ...}, each line of the output its
// answer. `of` is the address of the server, `call` a method ("responses.create"), `with` what it
// gets. What the client throws is {thrown}.
import OpenAI from 'openai'
import { createInterface } from 'node:readline'

const clients = new Map()
const streams = new Map()

function client(url) {
  if (!clients.has(url)) {
    clients.set(url, new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }))
  }
  return clients.get(url)
}

function begun({ of, call, with: given }) {
  const names = call.split('.')
  const method = names.pop()
  const resource = names.reduce((found, name) => found[name], client(of))
  return resource[method](...given)
}

async function read(name, stream) {
  const seen = streams.get(name)
  try {
    for await (const event of stream) seen.events.push(event)
    seen.final = await stream.finalResponse?.()
  } catch (error) {
    seen.thrown = described(error)
  }
  seen.ended = true
}

function described(error) {
  const { status, code, param, type, message, requestID } = error
  return { kind: error.constructor.name, status, code, param, type, message, requestID }
}

const operations = {
  async get(command) {
    const got = await begun(command)
    return { got, text: got?.output_text }
  },
  async all(command) {
    const got = []
    for await (const each of await begun(command)) got.push(each)
    return { got }
  },
  async open(command) {
    const stream = await begun(command)
    streams.set(command.name, { events: [], ended: false, stream })
    read(command.name, stream)
    return {}
  },
  async show({ name }) {
    const { stream, ...seen } = streams.get(name)
    return seen
  },
  async leave({ name }) {
    streams.get(name).stream.controller.abort()
    return {}
  },
}

async function answer(command) {
  try {
    return await operations[command.op](command)
  } catch (error) {
    return { thrown: described(error) }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const said = await answer(JSON.parse(line))
  process.stdout.write(`${JSON.stringify(said)}\n`)
}
process.exit(0)

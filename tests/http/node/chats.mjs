// Chats of the AI SDK without React. Each line of the input is a command {op, chat, ...}, each line
// of the output its answer: what the chat shows, or {failed}.
import { createInterface } from 'node:readline'
import { resuming } from './resuming.mjs'

const chats = new Map()

class State {
  status = 'ready'
  error = undefined
  constructor(messages) {
    this.messages = messages
  }
  pushMessage = message => (this.messages = [...this.messages, message])
  popMessage = () => (this.messages = this.messages.slice(0, -1))
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, structuredClone(message))
  }
  snapshot = thing => structuredClone(thing)
}

async function open({ version, api, id, messages = [] }) {
  const ai = await import(`ai-${version}`)
  class Chat extends ai.AbstractChat {}
  const seen = []
  let chat = null
  const { onError } = resuming(() => chat)
  chat = new Chat({
    id,
    state: new State(messages),
    transport: new ai.DefaultChatTransport({ api }),
    sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithApprovalResponses,
    onError(error) {
      seen.push(`${error.name}: ${error.message}`)
      onError(error)
    },
    onFinish(options) {
      seen.push(options.isError ? 'broke' : options.isAbort ? 'left' : 'finished')
    },
  })
  return { chat, api, seen }
}

const operations = {
  async open(command) {
    chats.set(command.chat, await open(command))
  },
  send: ({ chat }, { text, messageId }) => void chat.sendMessage({ text, messageId }),
  leave: ({ chat }) => chat.stop(),
  resume: ({ chat }, { answer }) =>
    void chat.resumeStream(answer ? { headers: { 'answer-id': answer } } : {}),
  regenerate: ({ chat }) => void chat.regenerate(),
  approve: ({ chat }, { id, approved, reason }) =>
    void chat.addToolApprovalResponse({ id, approved, reason }),
  async stop({ chat, api }) {
    await fetch(`${api}/${encodeURIComponent(chat.id)}/stop`, { method: 'POST' })
  },
  show() {},
}

async function run(command) {
  if (command.op === 'open') await operations.open(command)
  const chat = chats.get(command.chat)
  if (command.op !== 'open') await operations[command.op](chat, command)
  const { status, error, messages } = chat.chat
  return { status, error: error?.message, messages, seen: chat.seen }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line)).catch(error => ({ failed: String(error.stack) }))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit(0)

// Agents of @ag-ui/client. Each line of the input is a command {op, chat, ...}, each line of the
// output its answer: what the agent shows, or {failed}.
import { createInterface } from 'node:readline'

const agents = new Map()

async function open({ version, url, id, messages = [] }) {
  const { HttpAgent } = await import(version === 1 ? '@ag-ui/client' : '@ag-ui/client-0')
  class TurnwiseAgent extends HttpAgent {
    connect(input) {
      return this.run({ ...input, messages: [] })
    }
  }
  const agent = new TurnwiseAgent({ url, threadId: id, initialMessages: messages })
  const seen = []
  agent.subscribe({
    onRunFinishedEvent: ({ event }) => void seen.push(event.outcome?.type ?? 'success'),
    onRunErrorEvent: ({ event }) => void seen.push(`error ${event.code}: ${event.message}`),
    onMessagesSnapshotEvent: () => void seen.push('snapshot'),
    onRunFailed: ({ error }) => void seen.push(`failed: ${error.message}`),
  })
  return { agent, seen }
}

const ended = () => {} // onRunFailed has told

const operations = {
  async run({ agent }, { id, text, runId }) {
    if (text !== undefined) agent.addMessage({ id, role: 'user', content: text })
    agent.runAgent({ runId }).catch(ended)
  },
  async connect({ agent }) {
    agent.connectAgent().catch(ended)
  },
  async answer({ agent }, { payloads, runId }) {
    const resume = agent.pendingInterrupts.map(({ id }, number) => {
      const payload = payloads[number]
      return payload ? { interruptId: id, status: 'resolved', payload } : { interruptId: id, status: 'cancelled' }
    })
    agent.runAgent({ runId, resume }).catch(ended)
  },
  async leave({ agent }) {
    agent.abortRun()
  },
  async show() {},
}

async function run(command) {
  if (command.op === 'open') agents.set(command.chat, await open(command))
  const open_ = agents.get(command.chat)
  if (command.op !== 'open') await operations[command.op](open_, command)
  const { messages, pendingInterrupts, isRunning } = open_.agent
  return { messages, pendingInterrupts, isRunning, seen: open_.seen }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line)).catch(error => ({ failed: String(error.stack) }))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit(0)

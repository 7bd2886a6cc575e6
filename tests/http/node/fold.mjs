// Reads streams as a version of the AI SDK does: input {version, streams: [text]}, output for each
// stream {parts, error}, the parts of the message that its client would show at the end.
import { text } from 'node:stream/consumers'

const { version, streams } = JSON.parse(await text(process.stdin))
const { parseJsonEventStream, readUIMessageStream, uiMessageChunkSchema } = await import(`ai-${version}`)

function chunks(stream) {
  return parseJsonEventStream({
    stream: new Blob([stream]).stream(),
    schema: uiMessageChunkSchema,
  }).pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        if (!chunk.success) throw chunk.error
        controller.enqueue(chunk.value)
      },
    }),
  )
}

async function fold(stream) {
  let last, error
  try {
    const messages = readUIMessageStream({ stream: chunks(stream), terminateOnError: true })
    for await (const message of messages) last = message
  } catch (thrown) {
    error = `${thrown.name}: ${thrown.message}`
  }
  return { id: last?.id, parts: last?.parts ?? [], error }
}

const folded = []
for (const stream of streams) folded.push(await fold(stream))
process.stdout.write(JSON.stringify(folded))

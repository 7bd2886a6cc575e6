// A page with `useChat`, as a browser has it. Its address says the chat's id: /page?id=...
import { useChat } from '@ai-sdk/react'
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai'
import { useRef, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { resuming } from './resuming.mjs'

const id = new URLSearchParams(location.search).get('id')
const api = '/v7'

function Chat({ id, messages }) {
  const ref = useRef(null)
  const chat = useChat({
    id,
    messages,
    resume: true,
    transport: new DefaultChatTransport({ api }),
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    ...resuming(() => ref.current),
  })
  ref.current = chat
  return (
    <main data-status={chat.status}>
      {chat.messages.map(message => (
        <Message key={message.id} {...message} onAnswer={chat.addToolApprovalResponse} />
      ))}
      <Composer onSend={text => chat.sendMessage({ text })} />
      <button onClick={() => fetch(`${api}/${id}/stop`, { method: 'POST' })}>Stop</button>
    </main>
  )
}

function Message({ role, parts, onAnswer }) {
  return (
    <article data-role={role}>
      {parts.map((part, place) => (
        <Part key={place} part={part} onAnswer={onAnswer} />
      ))}
    </article>
  )
}

function Part({ part, onAnswer }) {
  if (part.type === 'text') return <p>{part.text}</p>
  if (part.state === 'output-available') return <output>{part.output}</output>
  if (part.state !== 'approval-requested') return null
  const answer = approved => onAnswer({ id: part.approval.id, approved })
  return (
    <fieldset>
      <legend>{part.type}</legend>
      <button onClick={() => answer(true)}>Approve</button>
      <button onClick={() => answer(false)}>Reject</button>
    </fieldset>
  )
}

function Composer({ onSend }) {
  const [text, setText] = useState('')
  const send = event => {
    event.preventDefault()
    onSend(text)
    setText('')
  }
  return (
    <form onSubmit={send}>
      <input aria-label="Message" value={text} onChange={event => setText(event.target.value)} />
      <button>Send</button>
    </form>
  )
}

const { messages } = await (await fetch(`${api}/${id}/messages`)).json()
createRoot(document.getElementById('root')).render(<Chat id={id} messages={messages} />)

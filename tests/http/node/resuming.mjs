// An option of a chat: it comes back where its stream broke off, and where the server asks for it.
export function resuming(chat) {
  return {
    onError(error) {
      const last = chat().messages.at(-1)
      const isVoid = error.message.startsWith('The answer begins again')
      if (last?.role !== 'assistant' || !(isVoid || error instanceof TypeError)) return
      setTimeout(() => chat().resumeStream({ headers: { 'answer-id': last.id } }), 500)
    },
  }
}

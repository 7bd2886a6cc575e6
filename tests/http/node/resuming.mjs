// Options of a chat that comes back where its stream broke off, or where the server says so.
export function resuming(chat) {
  let again = false
  return {
    onError(error) {
      again = error instanceof TypeError || error.message.startsWith('The answer begins again')
    },
    onFinish({ message }) {
      if (again) setTimeout(() => chat().resumeStream({ headers: { 'answer-id': message.id } }), 250)
      again = false
    },
  }
}

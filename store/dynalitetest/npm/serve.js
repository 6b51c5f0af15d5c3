// Serves DynamoDB from memory on a free port of the loopback interface, says which, and ends with whoever holds its standard input.
const dynalite = require('dynalite')

const server = dynalite({ createTableMs: 0, updateTableMs: 0, deleteTableMs: 0 })
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
// A client that is killed in the middle of a request must not take the server along.
process.on('uncaughtException', (err) => {
  if (err.code !== 'ECONNRESET') throw err
})
process.stdin.on('end', () => process.exit()).resume()

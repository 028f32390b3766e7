/** The sockets of a store to its server, together: a server that does not answer any more is given up by cutting all of them. */
import { Socket } from 'node:net';

export interface ServerSockets {
  /** A new socket, as the pg package wants them: it connects it itself. After `cut` it never does. */
  socket(): Socket;
  /** Ends every connection at once, also those in the making and those to come. */
  cut(): void;
}

export function serverSockets(): ServerSockets {
  const sockets = new Set<Socket>();
  let isCut = false;
  return {
    socket() {
      const socket = new Socket();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      // After whoever asked for it has its listeners on it, so that its end is heard.
      if (isCut) setImmediate(() => socket.destroy());
      return socket;
    },
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

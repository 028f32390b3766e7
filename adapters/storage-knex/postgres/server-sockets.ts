/** All sockets of a store to its server: if the server no longer responds, all of them are cut. */
import { Socket } from 'node:net';

export interface ServerSockets {
  /** A new, unconnected socket, as the pg package expects: it connects the socket itself. After `cut` it never connects. */
  socket(): Socket;
  /** Ends every connection at once, including those being made and future ones. */
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
      // Only after the caller has attached its listeners, so that it notices the end.
      if (isCut) setImmediate(() => socket.destroy());
      return socket;
    },
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

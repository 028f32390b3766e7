/** The sockets to a server, together: what waits for one that says nothing is ended by cutting them all. */
import { Socket } from 'node:net';

export interface PostgresLine {
  /** A socket of it, as the pg package wants them. Of one that was cut none is ever connected. */
  socket(): Socket;
  /** Ends every connection at once, also those in the making and those to come. */
  cut(): void;
}

export function postgresLine(): PostgresLine {
  const sockets = new Set<Socket>();
  let isCut = false;
  return {
    socket() {
      const socket = new Socket();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      // Whoever asked for it connects it first, and hears of its end.
      if (isCut) setImmediate(() => socket.destroy());
      return socket;
    },
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

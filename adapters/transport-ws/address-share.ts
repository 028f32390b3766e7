/**
 * Limits the HTTP connections of each address, those that are not WebSockets of sidecars, to half of the free connections. A client
 * that opens many then blocks only itself. Behind a proxy, all clients share the address of the proxy.
 */
import type { Socket } from 'node:net';
import { addressGroup, plainAddress } from '../../core/protocol/client-address.ts';

interface Counted {
  readonly address: string;
  isReleased: boolean;
}

export class AddressShare {
  readonly #connectionsMax: number;
  readonly #held = new Map<string, number>();
  /** The latest connection between two ends. */
  readonly #counted = new Map<string, Counted>();

  /** `connectionsMax`: of all addresses, including WebSockets. */
  constructor(connectionsMax: number) {
    this.#connectionsMax = connectionsMax;
  }

  /**
   * Counts the connection until it is released or closed. False if its address has its share already, given the number of open WebSockets.
   */
  acquire(socket: Socket, socketsOpen: number): boolean {
    const address = addressGroup(plainAddress(socket.remoteAddress ?? ''));
    const held = this.#held.get(address) ?? 0;
    if (held >= Math.ceil((this.#connectionsMax - socketsOpen) / 2)) return false;
    this.#held.set(address, held + 1);
    const counted: Counted = { address, isReleased: false };
    const ends = endsOf(socket);
    this.#counted.set(ends, counted);
    socket.once('close', () => {
      if (this.#counted.get(ends) === counted) this.#counted.delete(ends);
      this.#release(counted);
    });
    return true;
  }

  /** The connection has become a WebSocket of a sidecar. `socket`: that of TCP, or of TLS above it. */
  release(socket: Socket): void {
    const counted = this.#counted.get(endsOf(socket));
    if (counted !== undefined) this.#release(counted);
  }

  #release(counted: Counted): void {
    if (counted.isReleased) return;
    counted.isReleased = true;
    const { address } = counted;
    const left = (this.#held.get(address) ?? 1) - 1;
    if (left === 0) this.#held.delete(address);
    else this.#held.set(address, left);
  }
}

/** A TLS socket has the ends of its TCP socket, and nothing else in common with it that is public. */
const endsOf = ({ remoteAddress, remotePort, localAddress }: Socket): string => `${remoteAddress} ${remotePort} ${localAddress}`;

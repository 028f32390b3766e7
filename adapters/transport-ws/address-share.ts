/**
 * Limits the HTTP connections of each address (those that are not WebSockets of sidecars) to half of the free connections. So a client
 * that opens many blocks only itself. Behind a proxy, all clients share the address of the proxy.
 */
import type { Socket } from 'node:net';
import { addressGroup, plainAddress } from '../../core/protocol/client-address.ts';

interface Counted {
  /** The TCP socket. */
  readonly socket: Socket;
  /** Its two ends, see `endsOf`; null without TLS. */
  readonly ends: string | null;
  readonly address: string;
}

export class AddressShare {
  readonly #connectionsMax: number;
  readonly #isTls: boolean;
  readonly #held = new Map<string, number>();
  readonly #counted = new Map<Socket, Counted>();
  /** The latest connection between two ends, with TLS. */
  readonly #byEnds = new Map<string, Counted>();

  /** `connectionsMax`: of all addresses, including WebSockets. */
  constructor(connectionsMax: number, isTls: boolean) {
    this.#connectionsMax = connectionsMax;
    this.#isTls = isTls;
  }

  /** How many connections are counted. */
  get size(): number {
    return this.#counted.size;
  }

  /** Counts the connection until `release` or `closed`. False if its address already has its share, given the number of open WebSockets. */
  acquire(socket: Socket, socketsOpen: number): boolean {
    const address = addressGroup(plainAddress(socket.remoteAddress ?? ''));
    const held = this.#held.get(address) ?? 0;
    if (held >= Math.ceil((this.#connectionsMax - socketsOpen) / 2)) return false;
    this.#held.set(address, held + 1);
    const counted: Counted = { socket, ends: this.#isTls ? endsOf(socket) : null, address };
    this.#counted.set(socket, counted);
    if (counted.ends !== null) this.#byEnds.set(counted.ends, counted);
    return true;
  }

  /** The connection has become a WebSocket of a sidecar. `socket`: the TCP socket, or the TLS socket above it. */
  release(socket: Socket): void {
    const counted = this.#isTls ? this.#byEnds.get(endsOf(socket)) : this.#counted.get(socket);
    if (counted !== undefined) this.#release(counted);
  }

  /** The connection is closed. `socket`: the TCP socket, counted or not. */
  closed(socket: Socket): void {
    const counted = this.#counted.get(socket);
    if (counted !== undefined) this.#release(counted);
  }

  #release(counted: Counted): void {
    const { socket, ends, address } = counted;
    this.#counted.delete(socket);
    if (ends !== null && this.#byEnds.get(ends) === counted) this.#byEnds.delete(ends);
    const left = (this.#held.get(address) ?? 1) - 1;
    if (left === 0) this.#held.delete(address);
    else this.#held.set(address, left);
  }
}

/**
 * The ends are the only public properties that a TLS socket has in common with its TCP socket. Node caches them on the socket once they
 * are read, so without TLS they are not read here.
 */
const endsOf = ({ remoteAddress, remotePort, localAddress }: Socket): string => `${remoteAddress} ${remotePort} ${localAddress}`;

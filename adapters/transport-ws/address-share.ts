/**
 * Limits the HTTP connections of each address, those that are not WebSockets of sidecars, to half of the free connections. A client
 * that opens many then blocks only itself. Behind a proxy, all clients share the address of the proxy.
 */
import type { Socket } from 'node:net';
import { addressGroup, plainAddress } from '../../core/protocol/client-address.ts';

export class AddressShare {
  readonly #connectionsMax: number;
  readonly #held = new Map<string, number>();
  readonly #addresses = new WeakMap<Socket, string>();

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
    this.#addresses.set(socket, address);
    socket.once('close', () => this.release(socket));
    return true;
  }

  /** The connection was closed, or has become a WebSocket of a sidecar. Idempotent. */
  release(socket: Socket): void {
    const address = this.#addresses.get(socket);
    if (address === undefined) return;
    this.#addresses.delete(socket);
    const left = (this.#held.get(address) ?? 1) - 1;
    if (left === 0) this.#held.delete(address);
    else this.#held.set(address, left);
  }
}

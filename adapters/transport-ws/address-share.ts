/**
 * Connections of each address that are no sockets of sidecars: none has more than half of what is free of these, so that
 * whoever opens many keeps out its own. Behind a proxy all have its address.
 */
import type { Socket } from 'node:net';
import { addressGroup, plainAddress } from '../../core/protocol/client-address.ts';

export class AddressShare {
  readonly #connectionsMax: number;
  readonly #held = new Map<string, number>();
  readonly #addresses = new WeakMap<Socket, string>();

  /** `connectionsMax`: of all addresses and kinds. */
  constructor(connectionsMax: number) {
    this.#connectionsMax = connectionsMax;
  }

  /** Counts the connection until it is given up or closed; false when its address has its share already, beside so many sockets. */
  take(socket: Socket, socketsOpen: number): boolean {
    const address = addressGroup(plainAddress(socket.remoteAddress ?? ''));
    const held = this.#held.get(address) ?? 0;
    if (held >= Math.ceil((this.#connectionsMax - socketsOpen) / 2)) return false;
    this.#held.set(address, held + 1);
    this.#addresses.set(socket, address);
    socket.once('close', () => this.giveUp(socket));
    return true;
  }

  /** It is closed, or has become a socket of a sidecar. Twice is fine. */
  giveUp(socket: Socket): void {
    const address = this.#addresses.get(socket);
    if (address === undefined) return;
    this.#addresses.delete(socket);
    const left = (this.#held.get(address) ?? 1) - 1;
    if (left === 0) this.#held.delete(address);
    else this.#held.set(address, left);
  }
}

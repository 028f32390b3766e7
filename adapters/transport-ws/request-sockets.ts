/** The WebSockets of clients of the HTTP API, see `kit/request-socket.ts`. They count as HTTP connections. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type ServerOptions, type WebSocket } from 'ws';
import { createPlaces } from '../../core/domain/place-shares.ts';
import { fullBucket, takeOne, type BucketRule } from '../../core/domain/token-bucket.ts';
import type { HttpHandler } from '../../core/ports/http.ts';
import type { Log } from '../../core/ports/log.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import { httpAnswerer } from '../kit/answer-http.ts';
import { CapturedRequest, headerIn, unservable } from '../kit/captured-request.ts';
import { REQUEST_BYTES_MAX, REQUEST_SOCKETS_MAX, RequestSocket, UNREAD_BYTES_MAX, upgradeHeaders } from '../kit/request-socket.ts';
import { refuseInvalid, refuseUpgrade } from './refuse-upgrade.ts';
import type { WsSettings } from './settings.ts';

/** Whoever gets its token's identity here may open a socket. */
const MAY_OPEN = '/api/whoami';
/**
 * How often an open socket is checked, unless `keepAliveMs` is less: its token, and whether its client reads. If no answer was passed on
 * between two checks, and some wait, it does not. Milliseconds.
 */
const CHECK_MS = 15_000;
/** Frames of a socket that are not requests: pings, pongs, and messages after its close. More destroy it. */
export const OTHER_FRAMES: BucketRule = { burst: 1_000, perSecond: 100 };

export interface RequestSocketsDeps {
  readonly http: HttpHandler;
  readonly settings: WsSettings;
  readonly isRefusing: () => boolean;
  readonly log: Log;
}

export interface RequestSockets {
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer, remoteAddress: string): void;
  /** Closes each once its requests are answered. */
  end(): void;
}

export function requestSockets({ http, settings, isRefusing, log }: RequestSocketsDeps): RequestSockets {
  const open = new Set<RequestSocket>();
  const places = createPlaces(REQUEST_SOCKETS_MAX);
  /** Upgrades whose token is being looked up. */
  let opening = 0;
  const answer = httpAnswerer({ http, isRefusing, log });
  // `closeTimeout` is newer than the types of ws.
  const options: ServerOptions & { readonly closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: REQUEST_BYTES_MAX,
    skipUTF8Validation: true,
    closeTimeout: settings.closeWithinMs,
  };
  const upgrader = new WebSocketServer(options);
  refuseInvalid(upgrader, settings);

  /** Whose token these headers have; if it is not valid, or cannot be looked up, the status that says so. */
  const ownerOf = async (headers: readonly string[], remoteAddress: string): Promise<string | number> => {
    try {
      const request = new CapturedRequest({ method: 'GET', path: MAY_OPEN, query: '', headers, remoteAddress, body: null });
      const { status, body } = await http(request);
      if (typeof body === 'string') return status === 200 ? (JSON.parse(body) as { readonly id: string }).id : status;
      body?.cancel();
      return status === 200 ? 500 : status;
    } catch (thrown) {
      log.error('The token of a socket could not be looked up.', { path: MAY_OPEN, error: thrown });
      return 500;
    }
  };

  /** Takes a place for a socket; else the status with which its upgrade is refused. */
  const admit = async (headers: readonly string[], remoteAddress: string): Promise<(() => void) | number> => {
    if (isRefusing() || open.size + opening > REQUEST_SOCKETS_MAX) return 503;
    if (unservable(MAY_OPEN, headerIn(headers, 'host')) !== null) return 400;
    const owner = await ownerOf(headers, remoteAddress);
    if (typeof owner === 'number') return owner;
    const place = places.take(owner);
    if (typeof place === 'function') return place;
    return place.refused === 'full' ? 503 : 429;
  };

  const serve = (socket: WebSocket, stream: Duplex, headers: readonly string[], remoteAddress: string): void => {
    let isCorked = false;
    const peer = {
      remoteAddress,
      send(text: string): void {
        // Answers of one turn leave in one write.
        if (!isCorked) {
          isCorked = true;
          stream.cork();
          queueMicrotask(() => {
            isCorked = false;
            stream.uncork();
          });
        }
        socket.send(text, sent);
        if (socket.bufferedAmount > UNREAD_BYTES_MAX) socket.pause();
      },
      close: (code: number, reason: string): void => socket.close(code, reason),
    };
    /** Answers that were passed to the operating system; and how many at the last check, if others waited then. */
    let passedOn = 0;
    let stuckAt: number | null = null;
    const sent = (): void => {
      passedOn += 1;
      if (socket.isPaused && socket.bufferedAmount <= UNREAD_BYTES_MAX && requests.runningBytes <= REQUEST_BYTES_MAX) socket.resume();
    };
    const requests = new RequestSocket({ peer, headers, answer });
    open.add(requests);
    // Of messages: neither pings nor half a message keep it open.
    const idle = setTimeout(() => {
      if (requests.isIdle && socket.bufferedAmount === 0) requests.end('it was idle');
      else idle.refresh();
    }, settings.keepAliveMs).unref();
    const check = setTimeout(
      () => {
        if (socket.bufferedAmount > 0 && stuckAt === passedOn) return void stream.destroy();
        stuckAt = socket.bufferedAmount > 0 ? passedOn : null;
        void ownerOf(headers, remoteAddress).then((owner) => {
          if (owner === 401) requests.revoked();
          else if (open.has(requests)) check.refresh();
        });
      },
      Math.min(CHECK_MS, settings.keepAliveMs),
    ).unref();
    let others = fullBucket(OTHER_FRAMES, performance.now());
    const countOther = (): void => {
      const { taken, bucket } = takeOne(others, OTHER_FRAMES, performance.now());
      others = bucket;
      // A close would read on until the client answers it.
      if (!taken) stream.destroy();
    };
    socket.on('ping', countOther).on('pong', countOther);
    socket.on('message', (data: RawData) => {
      if (socket.readyState !== socket.OPEN) return countOther();
      idle.refresh();
      requests.take(data as Buffer);
      if (requests.runningBytes > REQUEST_BYTES_MAX) socket.pause();
    });
    socket.on('error', (error) => log.debug('A socket of a client failed.', { remoteAddress, error: messageOf(error) }));
    socket.on('close', () => {
      clearTimeout(idle);
      clearTimeout(check);
      open.delete(requests);
      requests.gone();
    });
    idleAfter(stream, settings.idleMs, () => stream.destroy());
    if (isRefusing()) requests.end();
  };

  return {
    upgrade(request, stream, head, remoteAddress) {
      const headers = upgradeHeaders((name) => headerIn(request.rawHeaders, name));
      // The client may disconnect while its token is looked up.
      const fail = (): void => void stream.destroy();
      stream.on('error', fail);
      opening += 1;
      admit(headers, remoteAddress)
        .then((admitted) => {
          stream.off('error', fail);
          if (typeof admitted === 'number') {
            if (!stream.destroyed) refuseUpgrade(stream, { status: admitted, reason: `refused with ${admitted}` }, settings);
            return;
          }
          if (stream.destroyed) return admitted();
          stream.once('close', admitted);
          upgrader.handleUpgrade(request, stream, head, (socket) => serve(socket, stream, headers, remoteAddress));
        })
        .catch((thrown: unknown) => {
          log.error('An upgrade failed.', { error: thrown });
          stream.destroy();
        })
        .finally(() => (opening -= 1));
    },
    end() {
      for (const requests of open) requests.end();
    },
  };
}

/** `ws` gives the stream as what it is for its own uses: a socket. */
function idleAfter(stream: Duplex, ms: number, onIdle: () => void): void {
  (stream as Duplex & { setTimeout(ms: number, onTimeout: () => void): void }).setTimeout(ms, onIdle);
}

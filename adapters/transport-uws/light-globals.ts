/**
 * Puts a light Response, and a Request that fits to it, in the place of Node's, as `@hono/node-server` does where it serves itself:
 * making its listener is what does it. Measured 15 µs of the processor less for each request.
 */
import { getRequestListener } from '@hono/node-server';

getRequestListener(() => new Response(null));

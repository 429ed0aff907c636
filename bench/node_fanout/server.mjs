// The peer of bench.live_fanout on Node: graphql-ws over ws, each subscription executed by graphql-js, one connection to the
// same Redis. An event is parsed and made into what resolvers return once for all subscriptions, which most servers do not do.
// REDIS is where it is (redis:// or unix://); its own port is the first line on standard output.

import { createServer } from "node:http";
import { createClient } from "@redis/client";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const schema = buildSchema(`
  scalar DateTime
  scalar Decimal
  enum LiveEventKind { SNAPSHOT READY CHANGED REMOVED HEARTBEAT }
  enum OperatingMode { UNKNOWN DISCONNECTED AWAITING_AUTHORIZATION AWAITING_CURRENT CHARGING PAUSED FINISHED FAULTED }
  enum Phase { L1 L2 L3 }
  type ChargerStatus {
    mode: OperatingMode!
    isOnline: Boolean!
    powerKw: Float
    allocatedA: Float
    allocatedPhases: [Phase!]!
    sessionEnergyKwh: Decimal
    observedAt: DateTime
    receivedAt: DateTime
    version: Int!
  }
  type Charger { name: String! status: ChargerStatus! }
  type ChargerStatusEvent { kind: LiveEventKind! chargerId: ID charger: Charger }
  input StatusTarget { installationId: ID! }
  type Query { isReady: Boolean! }
  type Subscription { chargerStatus(target: StatusTarget!): ChargerStatusEvent! }
`);

let executions = 0;
const channels = new Map(); // by name: the streams that follow it

class Stream {
  #waiting = [];
  #wake = null;

  constructor(end) {
    this.end = end;
    this.offer({ kind: "READY", chargerId: null, charger: null });
  }

  offer(event) {
    if (this.#wake === null) {
      this.#waiting.push(event);
    } else {
      const wake = this.#wake;
      this.#wake = null;
      wake({ value: { chargerStatus: event }, done: false });
    }
  }

  next() {
    executions += 1;
    if (this.#waiting.length > 0) {
      return Promise.resolve({ value: { chargerStatus: this.#waiting.shift() }, done: false });
    }
    return new Promise((resolve) => (this.#wake = resolve));
  }

  return() {
    this.end(this);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

function shown(event) {
  const status = {
    mode: event.mode,
    isOnline: event.is_online,
    powerKw: event.power_w === null ? null : event.power_w / 1000,
    allocatedA: event.allocated_a,
    allocatedPhases: event.allocated_phases ?? [],
    sessionEnergyKwh: event.session_energy_wh === null ? null : (event.session_energy_wh / 1000).toFixed(3),
    observedAt: event.observed_at,
    receivedAt: event.received_at,
    version: event.version,
  };
  return { kind: "CHANGED", chargerId: event.charger_id, charger: { name: "Space 1", status } };
}

const place = process.env.REDIS;
const redis = createClient(place.startsWith("unix://") ? { socket: { path: place.slice(7) } } : { url: place });
await redis.connect();

async function follow(name) {
  let streams = channels.get(name);
  if (streams === undefined) {
    channels.set(name, (streams = new Set()));
    await redis.subscribe(name, (message) => {
      for (const line of message.split("\n")) {
        if (!line.startsWith("{")) continue;
        const event = JSON.parse(line);
        if (event.type !== "ChargerStatusChanged") continue;
        const one = shown(event);
        for (const stream of streams) stream.offer(one);
      }
    });
  }
  const stream = new Stream((ended) => streams.delete(ended));
  streams.add(stream);
  return stream;
}

schema.getSubscriptionType().getFields().chargerStatus.subscribe = (_root, { target }) =>
  follow(`installation:${target.installationId}`);

const http = createServer((_request, response) => response.end(String(executions)));
useServer({ schema }, new WebSocketServer({ server: http, path: "/graphql", perMessageDeflate: false }));
http.listen(0, "127.0.0.1", 4096, () => console.log(JSON.stringify({ port: http.address().port })));
process.stdin.on("end", () => process.exit(0)).resume();

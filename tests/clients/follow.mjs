// One client follows the chargers of an installation until its standard input ends: node follow.mjs CLIENT, with
// LADE_URL, LADE_TOKEN and LADE_INSTALLATION in the environment. After each event it writes a line of JSON: what it
// knows by then of every charger. It comes back by itself, with the cursor of the last event that it took.

import readline from "node:readline";
import { ApolloClient, InMemoryCache, gql } from "@apollo/client/core";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client as UrqlClient, subscriptionExchange } from "@urql/core";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket; // older Nodes have none, and Apollo looks for it

const { LADE_URL: url, LADE_TOKEN: token, LADE_INSTALLATION: installation } = process.env;
const AGAIN_MS = 200;
const QUERY = `subscription Live($installation: ID!, $after: String) {
  chargerStatus(target: { installationId: $installation }, after: $after) {
    kind cursor isResync chargerId
    charger { id name status { version mode isOnline powerKw allocatedA sessionEnergyKwh observedAt } }
  }
}`;

const known = new Map(); // the newest of every charger by id
const newest = new Map(); // the highest version that was ever shown of it
const counts = { events: 0, snapshots: 0, resyncs: 0, older: 0, returns: 0, refusals: [] };
const variables = { installation, after: null };
let renewed = null; // chargers of a snapshot that is not complete yet

function take({ kind, cursor, isResync, chargerId, charger }) {
  counts.events += 1;
  if (kind === "SNAPSHOT" || (kind === "READY" && isResync)) {
    renewed ??= new Map();
  }
  if (kind === "SNAPSHOT") {
    counts.snapshots += 1;
    renewed.set(chargerId, charger);
    show(chargerId, charger);
  } else if (kind === "CHANGED") {
    renewed?.set(chargerId, charger);
    known.set(chargerId, charger);
    show(chargerId, charger);
  } else if (kind === "REMOVED") {
    renewed?.delete(chargerId);
    known.delete(chargerId);
  } else if (kind === "READY") {
    counts.resyncs += isResync ? 1 : 0;
    if (renewed !== null) {
      known.clear();
      for (const [id, one] of renewed) known.set(id, one);
      renewed = null;
    }
  }
  // A snapshot is half a truth until READY: whoever is cut off in it begins again from where they were.
  if (renewed === null) {
    variables.after = cursor;
    const chargers = Object.fromEntries([...known].map(([id, one]) => [id, { name: one.name, ...plain(one.status) }]));
    console.log(JSON.stringify({ chargers, counts }));
  }
}

function plain({ __typename, ...status }) {
  return status;
}

function show(id, { status }) {
  if (status.version < (newest.get(id) ?? 0)) counts.older += 1;
  newest.set(id, Math.max(status.version, newest.get(id) ?? 0));
}

function taken({ data, errors, error }) {
  const all = errors ?? (error?.graphQLErrors?.length ? error.graphQLErrors : error?.errors) ?? [];
  counts.refusals.push(...all.map(({ message }) => message));
  if (data?.chargerStatus) take(data.chargerStatus);
}

// Subscribes anew whenever the stream is lost. `open` subscribes once and calls back at each result, and at its end.
function follow(open) {
  let over = false;
  const again = () => {
    if (over) return;
    over = true;
    renewed = null;
    counts.returns += 1;
    setTimeout(() => follow(open), AGAIN_MS);
  };
  open(taken, again);
}

function webSockets(more = {}) {
  const connectionParams = { Authorization: `Bearer ${token}` };
  return createWs({ url: url.replace("http", "ws"), webSocketImpl: WebSocket, connectionParams, retryAttempts: 0, ...more });
}

// graphql-ws comes back by itself and sends the same payload again, whose variables are then those of now.
function graphqlWs() {
  const client = webSockets({
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, AGAIN_MS)),
    on: {
      closed: () => {
        renewed = null;
        counts.returns += 1;
      },
    },
  });
  const fail = (error) => {
    console.error(error);
    process.exitCode = 1;
  };
  client.subscribe({ query: QUERY, variables }, { next: taken, error: fail, complete: () => fail("completed") });
}

function apollo() {
  const client = new ApolloClient({ link: new GraphQLWsLink(webSockets()), cache: new InMemoryCache() });
  const query = gql(QUERY);
  follow((next, end) => {
    client.subscribe({ query, variables: { ...variables } }).subscribe({
      next: (result) => {
        next(result);
        if (result.error) end();
      },
      error: end,
      complete: end,
    });
  });
}

function urql() {
  const sockets = webSockets();
  const forwardSubscription = (request) => ({
    subscribe: (sink) => ({ unsubscribe: sockets.subscribe({ ...request, query: request.query ?? "" }, sink) }),
  });
  const client = new UrqlClient({ url, preferGetMethod: false, exchanges: [subscriptionExchange({ forwardSubscription })] });
  follow((next, end) => {
    client.subscription(QUERY, { ...variables }).subscribe((result) => {
      next(result);
      if (result.error || !result.hasNext) end();
    });
  });
}

function graphqlSse() {
  const client = createSse({ url, headers: { Authorization: `Bearer ${token}` }, retryAttempts: 0 });
  follow((next, end) => {
    client.subscribe({ query: QUERY, variables: { ...variables } }, { next, error: end, complete: end });
  });
}

const CLIENTS = { "graphql-ws": graphqlWs, apollo, urql, "graphql-sse": graphqlSse };
CLIENTS[process.argv[2]]();
readline.createInterface({ input: process.stdin }).on("close", () => process.exit());

//! The rows of the protocol's permission table, as subject templates.

/// Subject templates without the prefix, where `@` is a reversed host, each with its purpose.
pub(super) type Rights = &'static [(&'static str, &'static str)];

/// The templates of one role.
pub(super) struct Row {
    pub(super) publish: Rights,
    pub(super) subscribe: Rights,
}

const TO_RESPONDERS: &str = "bodies, credit and cancellation, to responders";
const TO_GATEWAYS: &str = "responses to gateways";
const TO_ITSELF: &str = "to itself, to check that the server has its subscriptions";
const FROM_GATEWAYS: &str = "frames from gateways";
const REQUESTS: &str = "requests to responders that announced the path";
const PLAIN_REQUESTS: &str = "requests on their own subjects, in the plain dialect";
const WEBSOCKET_MESSAGES: &str = "messages of WebSocket clients, in the plain dialect";
const PUSHES: &str = "messages to one WebSocket";
const BROADCASTS: &str = "messages to many WebSockets";
const OPEN_WEBSOCKETS: &str = "open WebSockets, including the cookies of their upgrade requests";
const ASK_FOR_WEBSOCKETS: &str = "requests for the list of open WebSockets";
const ANNOUNCEMENTS: &str = "announcements of responders";
const ASK_TO_ANNOUNCE: &str = "requests for announcements";

const GATEWAY_SUBSCRIBES: Rights = &[
    ("inbox.gw.>", "responses, and pushes to WebSockets"),
    ("control.interest.>", ANNOUNCEMENTS),
    ("control.ws.conn.list.>", "requests for the list of open WebSockets"),
    ("control.ws.broadcast.>", BROADCASTS),
];

pub(super) const GATEWAY: Row = Row {
    publish: &[
        ("http.>", PLAIN_REQUESTS),
        ("x.>", REQUESTS),
        ("inbox.r.>", TO_RESPONDERS),
        ("ws.ws.>", WEBSOCKET_MESSAGES),
        ("control.ws.conn.established.>", OPEN_WEBSOCKETS),
        ("control.ws.conn.closed.>", OPEN_WEBSOCKETS),
        ("control.ws.conn.beat.>", OPEN_WEBSOCKETS),
        ("control.interest.list", ASK_TO_ANNOUNCE),
        ("inbox.gw.*.*", TO_ITSELF),
    ],
    subscribe: GATEWAY_SUBSCRIBES,
};

/// The subscriptions cannot be restricted to the hosts: each covers all hosts at once.
pub(super) const GATEWAY_OF_HOSTS: Row = Row {
    publish: &[
        ("http.*.@._", PLAIN_REQUESTS),
        ("http.*.@._.>", PLAIN_REQUESTS),
        ("x.*.@._", REQUESTS),
        ("x.*.@._.>", REQUESTS),
        ("inbox.r.@._.>", TO_RESPONDERS),
        ("ws.ws.@._", WEBSOCKET_MESSAGES),
        ("ws.ws.@._.>", WEBSOCKET_MESSAGES),
        ("control.ws.conn.established.@", OPEN_WEBSOCKETS),
        ("control.ws.conn.closed.@", OPEN_WEBSOCKETS),
        ("control.ws.conn.beat.@", OPEN_WEBSOCKETS),
        ("control.interest.list", ASK_TO_ANNOUNCE),
        ("inbox.gw.*.*", TO_ITSELF),
    ],
    subscribe: GATEWAY_SUBSCRIBES,
};

pub(super) const HOST: Row = Row {
    publish: &[
        ("inbox.gw.*.*", TO_GATEWAYS),
        ("inbox.gw.*.*.push", PUSHES),
        ("control.ws.broadcast.@", BROADCASTS),
        ("control.ws.conn.list.@", ASK_FOR_WEBSOCKETS),
        ("control.interest.register.@", ANNOUNCEMENTS),
        ("control.interest.unregister.@", ANNOUNCEMENTS),
        ("inbox.r.@._.>", TO_ITSELF),
    ],
    subscribe: &[
        ("x.*.@._", REQUESTS),
        ("x.*.@._.>", REQUESTS),
        ("http.*.@._", PLAIN_REQUESTS),
        ("http.*.@._.>", PLAIN_REQUESTS),
        ("inbox.r.@._.>", FROM_GATEWAYS),
        ("control.interest.list", ASK_TO_ANNOUNCE),
        ("control.ws.conn.*.@", OPEN_WEBSOCKETS),
    ],
};

pub(super) const DAEMON: Row = Row {
    publish: &[
        ("inbox.gw.*.*", TO_GATEWAYS),
        ("control.interest.register.@", ANNOUNCEMENTS),
        ("control.interest.unregister.@", ANNOUNCEMENTS),
        ("inbox.r.@._.>", TO_ITSELF),
    ],
    subscribe: &[
        ("x.*.@._", REQUESTS),
        ("x.*.@._.>", REQUESTS),
        ("http.*.@._", PLAIN_REQUESTS),
        ("http.*.@._.>", PLAIN_REQUESTS),
        ("inbox.r.@._.>", FROM_GATEWAYS),
        ("control.interest.list", ASK_TO_ANNOUNCE),
    ],
};

pub(super) const PLAIN: Row = Row {
    publish: &[("inbox.gw.*.*", "replies to requests"), ("inbox.gw.*.*.push", PUSHES)],
    subscribe: &[
        ("http.*.@._", PLAIN_REQUESTS),
        ("http.*.@._.>", PLAIN_REQUESTS),
        ("inbox.r.@._.closed.*", "exchanges that ended early"),
        ("ws.ws.@._", WEBSOCKET_MESSAGES),
        ("ws.ws.@._.>", WEBSOCKET_MESSAGES),
        ("control.ws.conn.*.@", OPEN_WEBSOCKETS),
    ],
};

pub(super) const OPERATOR: Row = Row {
    publish: &[("control.interest.list", ASK_TO_ANNOUNCE), ("control.ws.conn.list.>", ASK_FOR_WEBSOCKETS)],
    subscribe: &[(">", "everything, including bodies and cookies")],
};

/// The replies to its list requests go to inboxes of responders, to which it subscribes.
pub(super) const OPERATOR_OF_HOSTS: Row = Row {
    publish: &[("control.interest.list", ASK_TO_ANNOUNCE), ("control.ws.conn.list.@", ASK_FOR_WEBSOCKETS)],
    subscribe: &[
        ("x.*.@._", REQUESTS),
        ("x.*.@._.>", REQUESTS),
        ("http.*.@._", PLAIN_REQUESTS),
        ("http.*.@._.>", PLAIN_REQUESTS),
        ("inbox.r.@._.>", FROM_GATEWAYS),
        ("ws.ws.@._", WEBSOCKET_MESSAGES),
        ("ws.ws.@._.>", WEBSOCKET_MESSAGES),
        ("control.interest.*.@", ANNOUNCEMENTS),
        ("control.ws.conn.*.@", OPEN_WEBSOCKETS),
        ("control.ws.broadcast.@", BROADCASTS),
    ],
};

# SPDX-License-Identifier: ISC
#
# Flask and psycopg2 under gunicorn behind nginx, answering after the commit. Five workers, as gunicorn's documentation
# counts them for two cores (2 x cores + 1), each with one connection that stays open.
import os

import psycopg2
from flask import Flask, request
from psycopg2.extras import Json

app = Flask(__name__)
connection = None


@app.post("/webhook")
def webhook():
    global connection
    event = request.get_json()
    try:
        if connection is None or connection.closed:
            connection = psycopg2.connect(os.environ["DATABASE"])
        with connection, connection.cursor() as cursor:
            cursor.execute("insert into peer.event (body) values (%s) returning id", (Json(event),))
            number = cursor.fetchone()[0]
            cursor.execute("select token from peer.bot_token where origin_community_id = %s",
                           (event["context"]["originCommunityId"],))
            result = "ok" if cursor.fetchone() else "no token"
            cursor.execute("insert into peer.outcome (event_id, result) values (%s, %s)", (number, result))
    except psycopg2.Error:
        connection = None
        return "", 500
    return "", 200

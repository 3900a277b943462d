# Rendered by `dapr-harness render compose`.
ARG BASE=python:3.11-slim
FROM ${BASE}
ENV PYTHONUNBUFFERED=1
COPY services/requirements.txt /requirements.txt
RUN python3 -m pip install --no-cache-dir -r /requirements.txt aiosmtpd h11 uvicorn
WORKDIR /app
COPY . /app

"""Holdtrue's library: models, pure decisions and tool adapters. It never imports Prefect."""

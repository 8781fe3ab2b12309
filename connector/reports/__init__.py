"""A validation in the forms that people and programs read. Agents pass by one after the other; none are collected."""
